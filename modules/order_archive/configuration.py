# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import ModelSingleton, ModelSQL, ModelView, fields
from trytond.modules.company.model import (
    CompanyMultiValueMixin, CompanyValueMixin)
from trytond.pool import Pool
from trytond.pyson import Eval, Id


class Configuration(
        CompanyMultiValueMixin, ModelSingleton, ModelSQL, ModelView):
    __name__ = 'order.archive.configuration'

    archive_sequence = fields.MultiValue(fields.Many2One(
            'ir.sequence', "Order File Sequence", required=True,
            domain=[
                ('company', 'in', [
                        Eval('context', {}).get('company', -1), None]),
                ('sequence_type', '=',
                    Id('order_archive', 'sequence_type_archive')),
                ]))

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field == 'archive_sequence':
            return pool.get('order.archive.configuration.sequence')
        return super().multivalue_model(field)

    @classmethod
    def default_archive_sequence(cls, **pattern):
        return cls.multivalue_model(
            'archive_sequence').default_archive_sequence()


class ConfigurationSequence(CompanyValueMixin, ModelSQL):
    __name__ = 'order.archive.configuration.sequence'

    archive_sequence = fields.Many2One(
        'ir.sequence', "Order File Sequence", required=True,
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ('sequence_type', '=',
                Id('order_archive', 'sequence_type_archive')),
            ])

    @classmethod
    def default_archive_sequence(cls):
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        try:
            return ModelData.get_id('order_archive', 'sequence_archive')
        except KeyError:
            return None
