# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.cache import Cache
from trytond.i18n import gettext
from trytond.model import ModelSingleton, ModelSQL, ModelView, fields
from trytond.modules.company.model import (
    CompanyMultiValueMixin, CompanyValueMixin)
from trytond.pool import Pool
from trytond.pyson import Eval, Id
from trytond.transaction import without_check_access

from .exceptions import ArchiveError

# By code of the kind that a company can require the condition
REQUIRED = {
    'acceptance': 'shipped',
    'settlement': 'always',
    }


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

    def get_archive_sequence(self, company):
        "Return the sequence that numbers the files of the company"
        pool = Pool()
        Sequence = pool.get('ir.sequence')
        Value = self.multivalue_model('archive_sequence')
        # Each order is confirmed with it
        id_ = Value._archive_cache.get(company.id)
        if id_ is None:
            id_ = self.get_multivalue(
                'archive_sequence', company=company.id).id
            Value._archive_cache.set(company.id, id_)
        return Sequence(id_)

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
        Requirement = pool.get('order.archive.requirement')
        return [
            Requirement(
                kind=kind, condition=REQUIRED[code], number=1, waivable=True)
            for code, kind in self._get_required(company).items() if kind]

    def get_problems(self, company):
        "Return the texts of what is required and has no kind"
        return [
            gettext('order_archive.msg_configuration_kind',
                kind=code, company=company.rec_name)
            for code, kind in self._get_required(company).items()
            if not kind]

    @without_check_access
    def _get_required(self, company, without=()):
        "Return by code that is required the kind, None if there is none"
        pool = Pool()
        Kind = pool.get('order.archive.kind')
        codes = [
            c for c in REQUIRED
            if self.get_multivalue(c, company=company.id) == 'document']
        kinds = Kind.get_kinds(company, without) if codes else {}
        return {c: kinds.get(c) for c in codes}

    @classmethod
    @without_check_access
    def check_kinds(cls, companies=None, without=()):
        """Raise ArchiveError if what one of the companies requires, all by
        default, has no active kind besides those without"""
        pool = Pool()
        Company = pool.get('company.company')
        config = cls(1)
        problems = [
            gettext('order_archive.msg_configuration_kind',
                kind=code, company=company.rec_name)
            for company in companies or Company.search([])
            for code, kind in config._get_required(company, without).items()
            if not kind]
        if problems:
            raise ArchiveError('\n'.join(problems))

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

    # By company the id of its sequence of the files
    _archive_cache = Cache(
        'order.archive.configuration.sequence.archive', context=False)

    @classmethod
    def default_archive_sequence(cls):
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        try:
            return ModelData.get_id('order_archive', 'sequence_archive')
        except KeyError:
            return None

    @classmethod
    def on_modification(cls, mode, values, field_names=None):
        super().on_modification(mode, values, field_names=field_names)
        cls._archive_cache.clear()


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
    def validate_fields(cls, values, field_names):
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        super().validate_fields(values, field_names)
        if field_names and not field_names & {'company', *REQUIRED}:
            return
        companies = {v.company for v in values if any(
                getattr(v, n) == 'document' for n in REQUIRED)}
        if companies:
            # Those without are for all companies
            Configuration.check_kinds(None if None in companies else companies)

    @classmethod
    def default_archive_days(cls):
        return 10

    @classmethod
    def default_acceptance(cls):
        return 'none'

    @classmethod
    def default_settlement(cls):
        return 'none'
