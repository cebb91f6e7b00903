# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.model import ModelSingleton, ModelSQL, ModelView, fields
from trytond.modules.company.model import (
    CompanyMultiValueMixin, CompanyValueMixin)
from trytond.pool import Pool
from trytond.pyson import Eval, Id

from .exceptions import ArchiveError


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
    plan = fields.MultiValue(fields.Many2One(
            'order.archive.class', "File Plan",
            domain=[
                ('parent', '=', None),
                ('company', 'in', [
                        Eval('context', {}).get('company', -1), None]),
                ],
            help="The class below which those of the files are looked for.\n"
            "Leave empty to keep no files."))
    archivist = fields.MultiValue(fields.Many2One(
            'company.employee', "Archivist",
            domain=[
                ('company', '=',
                    Eval('context', {}).get('company', -1)),
                ],
            help="Who is told of the files that are complete or late.\n"
            "Leave empty for all users of the group Order Archive."))
    archive_days = fields.MultiValue(fields.Integer(
            "Archived Within",
            domain=['OR',
                ('archive_days', '=', None),
                ('archive_days', '>=', 0),
                ],
            help="The number of working days after an order is done by which "
            "its file must be archived.\n"
            "Leave empty for no deadline."))
    acceptance = fields.MultiValue(
        fields.Selection('get_acceptances', "Acceptance"))
    settlement = fields.MultiValue(
        fields.Selection('get_settlements', "Settlement"))

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field == 'archive_sequence':
            return pool.get('order.archive.configuration.sequence')
        elif field in {
                'plan', 'archivist', 'archive_days', 'acceptance',
                'settlement'}:
            return pool.get('order.archive.configuration.archive')
        return super().multivalue_model(field)

    @classmethod
    def get_acceptances(cls):
        pool = Pool()
        Value = pool.get('order.archive.configuration.archive')
        return Value.fields_get(['acceptance'])['acceptance']['selection']

    @classmethod
    def get_settlements(cls):
        pool = Pool()
        Value = pool.get('order.archive.configuration.archive')
        return Value.fields_get(['settlement'])['settlement']['selection']

    @classmethod
    def default_archive_days(cls, **pattern):
        return cls.multivalue_model('archive_days').default_archive_days()

    @classmethod
    def default_acceptance(cls, **pattern):
        return cls.multivalue_model('acceptance').default_acceptance()

    @classmethod
    def default_settlement(cls, **pattern):
        return cls.multivalue_model('settlement').default_settlement()

    def get_requirements(self, company):
        """Return what the files of the company must have besides what their
        classes require"""
        pool = Pool()
        Kind = pool.get('order.archive.kind')
        Requirement = pool.get('order.archive.requirement')
        requirements, kinds = [], None
        for name, condition in [
                ('acceptance', 'shipped'), ('settlement', 'always')]:
            if self.get_multivalue(name, company=company.id) != 'document':
                continue
            if kinds is None:
                kinds = Kind.get_kinds(company)
            if name not in kinds:
                raise ArchiveError(gettext(
                        'order_archive.msg_configuration_kind',
                        kind=name, company=company.rec_name))
            requirements.append(Requirement(
                    kind=kinds[name], condition=condition, number=1,
                    waivable=True))
        return requirements

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


class ConfigurationArchive(CompanyValueMixin, ModelSQL):
    __name__ = 'order.archive.configuration.archive'

    plan = fields.Many2One(
        'order.archive.class', "File Plan", ondelete='RESTRICT',
        domain=[
            ('parent', '=', None),
            ('company', 'in', [Eval('company', -1), None]),
            ])
    archivist = fields.Many2One(
        'company.employee', "Archivist", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    archive_days = fields.Integer(
        "Archived Within",
        domain=['OR',
            ('archive_days', '=', None),
            ('archive_days', '>=', 0),
            ])
    acceptance = fields.Selection([
            ('none', "Not Required"),
            ('document', "Signed Report Uploaded"),
            ], "Acceptance", sort=False)
    settlement = fields.Selection([
            ('none', "Not Required"),
            ('document', "Settlement Uploaded"),
            ], "Settlement", sort=False)

    @classmethod
    def on_modification(cls, mode, values, field_names=None):
        pool = Pool()
        Class = pool.get('order.archive.class')
        super().on_modification(mode, values, field_names=field_names)
        Class._plan_cache.clear()

    @classmethod
    def default_archive_days(cls):
        return 10

    @classmethod
    def default_acceptance(cls):
        return 'none'

    @classmethod
    def default_settlement(cls):
        return 'none'
