# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import ModelSingleton, ModelSQL, ModelView, fields
from trytond.modules.company.model import (
    CompanyMultiValueMixin, CompanyValueMixin)
from trytond.pool import Pool
from trytond.pyson import Eval, Id


class Configuration(
        CompanyMultiValueMixin, ModelSingleton, ModelSQL, ModelView):
    __name__ = 'customer.configuration'

    run_sequence = fields.MultiValue(fields.Many2One(
            'ir.sequence', "Grading Run Sequence", required=True,
            domain=[
                ('company', 'in', [
                        Eval('context', {}).get('company', -1), None]),
                ('sequence_type', '=',
                    Id('customer_grading', 'sequence_type_run')),
                ]))

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field == 'run_sequence':
            return pool.get('customer.configuration.sequence')
        return super().multivalue_model(field)

    @classmethod
    def default_run_sequence(cls, **pattern):
        return cls.multivalue_model('run_sequence').default_run_sequence()


class ConfigurationSequence(CompanyValueMixin, ModelSQL):
    __name__ = 'customer.configuration.sequence'

    run_sequence = fields.Many2One(
        'ir.sequence', "Grading Run Sequence", required=True,
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ('sequence_type', '=',
                Id('customer_grading', 'sequence_type_run')),
            ])

    @classmethod
    def default_run_sequence(cls):
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        try:
            return ModelData.get_id('customer_grading', 'sequence_run')
        except KeyError:
            return None
