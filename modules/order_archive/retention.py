# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict
from itertools import chain

from dateutil.relativedelta import relativedelta
from sql import Null

from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelStorage, ModelView, fields,
    sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.tools import get_employee
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.transaction import Transaction, check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .archive import _has_text, _isoformat, _recording, _search_boolean
from .exceptions import RetentionError, RetentionValidationError

ACTIONS = [
    ('dispose', "Dispose"),
    ('review', "Review"),
    ('keep', "Keep"),
    ]


def _check_group(*names):
    "Check that the user, if any, belongs to one of the groups"
    pool = Pool()
    Group = pool.get('res.group')
    ModelData = pool.get('ir.model.data')
    User = pool.get('res.user')
    if not Transaction().user:
        return
    groups = [
        Group(ModelData.get_id('order_archive', name)) for name in names]
    if not {g.id for g in groups} & set(User.get_groups()):
        with without_check_access():
            raise AccessError(gettext(
                    'order_archive.msg_retention_group',
                    groups=', '.join(g.rec_name for g in groups)))


def _allow(records, *names):
    """Check that the user belongs to one of the groups and may read the
    records: what follows is done without check of access"""
    _check_group(*names)
    if not Transaction().user:
        return
    by_model = defaultdict(list)
    for record in records:
        by_model[record.__class__].append(record.id)
    with check_access():
        for Model, ids in by_model.items():
            Model.read(ids, ['id'])


def _need_employee(record):
    "Return the employee of the user in the company of the record"
    employee = get_employee(record.company)
    if not employee:
        raise AccessError(gettext(
                'order_archive.msg_retention_employee',
                record=record.rec_name,
                company=record.company.rec_name))
    return employee


def _need_employees(records):
    "Return by company of the records the employee of the user"
    by_company = {r.company: r for r in records}
    return {c: _need_employee(r) for c, r in by_company.items()}


def _raise(error, problems):
    "Raise the error with all the texts of the problems"
    if problems:
        raise error('\n'.join(problems))


class SecretMixin(ModelStorage):
    """What tells of a file or document that may be confidential

    The rules use a field of the model itself, as those with the fields of
    others hold when data are searched but not when they are exported."""
    __slots__ = ()
    _secret = 'archive.confidential'

    secret = fields.Function(
        fields.Boolean("Secret"), 'get_secret', searcher='search_secret')

    @without_check_access
    def get_secret(self, name):
        value = self.__class__(self.id)
        for name in self._secret.split('.'):
            value = getattr(value, name) if value else None
        return bool(value)

    @classmethod
    def search_secret(cls, name, clause):
        domain = [(cls._secret, '=', True)]
        return _search_boolean(
            clause, domain,
            lambda: [('id', 'not in', cls.search(domain, query=True))])


class Retention(DeactivableMixin, sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'order.archive.retention'

    name = fields.Char("Name", required=True, translate=True)
    company = fields.Many2One(
        'company.company', "Company", ondelete='RESTRICT',
        help="Leave empty for all companies.")
    years = fields.Integer(
        "Years", required=True,
        domain=[
            ('years', '>=', 0),
            ],
        states={
            'invisible': Eval('action') == 'keep',
            })
    months = fields.Integer(
        "Months", required=True,
        domain=[
            ('months', '>=', 0),
            ],
        states={
            'invisible': Eval('action') == 'keep',
            })
    trigger = fields.Selection([
            ('archived', "Archiving"),
            ('done', "Last Delivery or Invoice"),
            ('payment', "Last Payment"),
            ('contract_end', "End of the Contract"),
            ], "From", required=True, sort=False,
        states={
            'invisible': Eval('action') == 'keep',
            },
        help="The date from which the period runs.\n"
        "It runs from the archiving if there is no such date.")
    action = fields.Selection(
        ACTIONS, "Then", required=True, sort=False,
        help="Dispose: the file is proposed for disposal.\n"
        "Review: somebody decides whether it is proposed or kept longer.\n"
        "Keep: the file is kept for ever.")

    @classmethod
    def default_years(cls):
        return 10

    @classmethod
    def default_months(cls):
        return 0

    @classmethod
    def default_trigger(cls):
        return 'payment'

    @classmethod
    def default_action(cls):
        return 'review'

    @classmethod
    def validate_fields(cls, retentions, field_names):
        super().validate_fields(retentions, field_names)
        cls.check_period(retentions, field_names)

    @classmethod
    def check_period(cls, retentions, field_names=None):
        if field_names and not (field_names & {'years', 'months', 'action'}):
            return
        for retention in retentions:
            if retention.action != 'keep' and not (
                    retention.years or retention.months):
                raise RetentionValidationError(gettext(
                        'order_archive.msg_retention_period',
                        retention=retention.rec_name))

    @classmethod
    def check_modification(cls, mode, retentions, values=None, external=False):
        pool = Pool()
        Archive = pool.get('order.archive')
        super().check_modification(
            mode, retentions, values=values, external=external)
        if mode != 'write':
            return
        names = values.keys() & {'years', 'months', 'trigger', 'action'}
        changed = [
            r for r in retentions
            if any(getattr(r, n) != values[n] for n in names)]
        with without_check_access():
            for archive in Archive.search(
                    [('retention', 'in', [r.id for r in changed])], limit=1):
                raise AccessError(gettext(
                        'order_archive.msg_retention_used',
                        retention=archive.retention.rec_name))

    def get_end(self, date):
        "Return the last day of the period that runs from the date, if any"
        if date and self.action != 'keep':
            return date + relativedelta(years=self.years, months=self.months)


class Class(metaclass=PoolMeta):
    __name__ = 'order.archive.class'

    retention = fields.Many2One(
        'order.archive.retention', "Retention", ondelete='RESTRICT',
        domain=[
            If(Bool(Eval('company')),
                ('company', 'in', [None, Eval('company', -1)]),
                ('company', '=', None)),
            ],
        help="How long the files are kept.\n"
        "Leave empty for that of the parent.")

    def get_retention(self):
        "Return the retention of the class, or that of the nearest parent"
        class_ = self
        while class_ and not class_.retention:
            class_ = class_.parent
        return class_.retention if class_ else None


class Archive(metaclass=PoolMeta):
    __name__ = 'order.archive'

    retention = fields.Many2One(
        'order.archive.retention', "Retention", readonly=True,
        ondelete='RESTRICT')
    retention_action = fields.Selection(
        [(None, ""), *ACTIONS], "Then", readonly=True, sort=False)
    trigger_date = fields.Date(
        "Retained From", readonly=True,
        help="The date from which the period of retention runs.\n"
        "Empty as long as the file has no end.")
    # Only becomes later, also while the file has no end
    retain_until = fields.Date(
        "Retain Until", readonly=True,
        help="The last day on which the file is kept at least.\n"
        "Empty if it has no end.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.retain_until, Index.Range()),
                    (t.company, Index.Equality()),
                    where=t.state.in_(['archived', 'due'])),
                Index(t, (t.retention, Index.Equality())),
                })
        cls._buttons.update({
                'extend_retention': {
                    'invisible': (
                        ~Eval('state').in_(['archived', 'due'])
                        | ~Eval('retention_action').in_(
                            ['dispose', 'review'])),
                    'depends': ['state', 'retention_action'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="retain_until"]', 'visual',
                If((Eval('state').in_(['archived', 'due']))
                    & Bool(Eval('trigger_date'))
                    & (Eval('retain_until', Date()) < Date()),
                    'warning', ''),
                ['trigger_date']),
            ]

    def ledger_values(self):
        return {
            **super().ledger_values(),
            'retention': self.retention.id if self.retention else None,
            'retention_action': self.retention_action,
            'trigger_date': _isoformat(self.trigger_date),
            'retain_until': _isoformat(self.retain_until),
            }

    @classmethod
    def _get_retention_values(cls, archives):
        "Return by file the values of its retention to write when archived"
        today = cls._today(archives)
        retentions = {
            a: a.class_.get_retention() for a in archives if a.class_}
        by_trigger = defaultdict(list)
        for archive, retention in retentions.items():
            if retention:
                by_trigger[retention.trigger].append(archive)
        dates = {}
        for trigger, t_archives in by_trigger.items():
            dates.update(getattr(cls, f'_trigger_{trigger}')(t_archives))
        values = {}
        for archive in archives:
            retention = retentions.get(archive)
            if not retention:
                continue
            date = dates.get(archive, today[archive.company])
            values[archive] = {
                'retention': retention.id,
                'retention_action': retention.action,
                'trigger_date': date,
                'retain_until': retention.get_end(date),
                }
        return values

    @classmethod
    def _today(cls, archives):
        "Return the date of today by company of the files"
        pool = Pool()
        Date = pool.get('ir.date')
        today = {}
        for company in {a.company for a in archives}:
            with Transaction().set_context(company=company.id):
                today[company] = Date.today()
        return today

    @classmethod
    def _trigger_archived(cls, archives):
        return {}

    @classmethod
    def _trigger_done(cls, archives):
        "Return by file the date of the last delivery or invoice"
        return cls._last({
                a: [m.effective_date for m in a.sale.moves
                    if m.state == 'done']
                + [i.invoice_date for i in a.sale.invoices
                    if i.state in {'posted', 'paid'}]
                for a in archives})

    @classmethod
    def _trigger_payment(cls, archives):
        "Return by file the date of the last payment"
        return cls._last({
                a: [i.reconciled for i in a.sale.invoices]
                for a in archives})

    @classmethod
    def _trigger_contract_end(cls, archives):
        """Return by file the end of the contract, None if it has none and is
        still in force"""
        pool = Pool()
        Contract = pool.get('sale.contract')
        contracts = defaultdict(list)
        # What supplements a contract extends it once it is sealed
        for contract in Contract.search([
                    ('sale', 'in', [a.sale.id for a in archives]),
                    ('supplement_of', '=', None),
                    ('state', '!=', 'draft'),
                    ]):
            contracts[contract.sale].append(contract)
        dates = {}
        for archive in archives:
            ends = [
                c.termination_date if c.state == 'terminated'
                else c.valid_until
                for c in contracts[archive.sale]]
            if ends:
                dates[archive] = None if None in ends else max(ends)
        return dates

    @classmethod
    def _last(cls, dates):
        "Return the last of the dates by record of those that have any"
        return {
            r: max(ds) for r, ds in (
                (r, [d for d in ds if d]) for r, ds in dates.items()) if ds}

    @classmethod
    @ModelView.button
    def close(cls, archives):
        super().close(archives)
        cls.retain(archives)

    @classmethod
    @without_check_access
    def retain(cls, archives):
        "Set the retention of the files that have just been archived"
        pool = Pool()
        Event = pool.get('order.archive.event')
        archives = [
            a for a in cls.browse(archives)
            if a.state == 'archived' and not a.retention]
        retained = defaultdict(list)
        for archive, values in cls._get_retention_values(archives).items():
            retained[tuple(values.items())].append(archive)
        if retained:
            with _recording():
                cls.write(*chain.from_iterable(
                        (rs, dict(values)) for values, rs in retained.items()))
            Event.record('retain', cls.browse(
                    list(chain.from_iterable(retained.values()))))

    @classmethod
    @without_check_access
    def prolong(cls, sales):
        """Let the period of the archived files of the orders run from the end
        that their contracts have now, if it is later"""
        pool = Pool()
        Event = pool.get('order.archive.event')
        domain = [
            ('sale', 'in', [s.id for s in sales]),
            ('state', 'in', ['archived', 'due']),
            ('retention.trigger', '=', 'contract_end'),
            ('retention_action', '!=', 'keep'),
            ]
        archives = cls.search(domain)
        if not archives:
            return
        cls.lock(archives)
        archives = cls.search(domain)
        dates = cls._trigger_contract_end(archives)
        today = cls._today(archives)
        to_write, details = [], {}
        for archive in archives:
            before, until = archive.trigger_date, archive.retain_until
            date = dates.get(archive, before)
            if date == before or (before and date and date < before):
                continue
            # Without date the contract is in force and has no end
            values = {'trigger_date': date}
            if date:
                values['retain_until'] = max(filter(None, [
                            archive.retention.get_end(date), until]))
            if date is None or (
                    values['retain_until'] >= today[archive.company]):
                values['state'] = 'archived'
            to_write.extend(([archive], values))
            details[archive] = {
                'trigger_date': _isoformat(before),
                'retain_until': _isoformat(until),
                }
        if to_write:
            with _recording():
                cls.write(*to_write)
            Event.record('prolong', cls.browse(list(details)), details)

    @classmethod
    @ModelView.button_action('order_archive.wizard_extend_retention')
    def extend_retention(cls, archives):
        pass

    @classmethod
    def lengthen(cls, archives, date, reason):
        "Keep the files until the date for the reason"
        _allow(archives, 'group_archive_admin', 'group_archive_disposal')
        with without_check_access():
            cls._lengthen(archives, date, reason)

    @classmethod
    def _lengthen(cls, archives, date, reason):
        pool = Pool()
        Event = pool.get('order.archive.event')
        cls.lock(archives)
        if not _has_text(reason):
            raise RetentionError(gettext(
                    'order_archive.msg_retention_reason'))
        problems, details = [], {}
        archives = cls.browse(archives)
        today = cls._today(archives)
        listed = cls.get_listed(archives)
        for archive in archives:
            message, values = None, {}
            before = archive.retain_until
            if archive.state not in {'archived', 'due'}:
                message = 'msg_retention_state'
                values['state'] = archive.__names__('state', archive)['value']
            elif archive.retention_action not in {'dispose', 'review'}:
                message = 'msg_retention_keep'
            elif archive in listed:
                message = 'msg_retention_listed'
                values['disposal'] = listed[archive].rec_name
            elif (before and date <= before) or (
                    date < today[archive.company]):
                message = 'msg_retention_shorter'
            if message:
                problems.append(gettext(
                        f'order_archive.{message}',
                        archive=archive.rec_name, **values))
            details[archive] = {
                'reason': reason,
                'before': _isoformat(before),
                }
        _raise(RetentionError, problems)
        with _recording():
            cls.write(archives, {
                    'retain_until': date,
                    'state': 'archived',
                    })
        Event.record('lengthen', cls.browse(archives), details)

    @classmethod
    def family(cls, archives):
        "Return all files of the orders: those given and their supplements"
        return cls.search([
                ('sale', 'in', list({a.sale.id for a in archives})),
                ])

    @classmethod
    def _retained(cls, today):
        "Return the query of the orders with files that are still kept"
        table = cls.__table__()
        return table.select(
            table.sale,
            where=(~table.state.in_(['archived', 'due', 'disposed'])
                | (table.trigger_date == Null)
                | (table.retain_until == Null)
                | (table.retain_until >= today)))


class ExtendRetention(Wizard):
    "Keep the files longer"
    __name__ = 'order.archive.retention.extend'

    start = StateView('order.archive.retention.extend.start',
        'order_archive.retention_extend_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Extend", 'extend', 'tryton-ok', default=True),
            ])
    extend = StateTransition()

    def transition_extend(self):
        self.model.lengthen(
            self.records, self.start.retain_until, self.start.reason)
        return 'end'

    def end(self):
        return 'reload'


class ExtendRetentionStart(ModelView):
    __name__ = 'order.archive.retention.extend.start'

    retain_until = fields.Date(
        "Retain Until", required=True,
        help="The last day on which the files are kept.")
    reason = fields.Text("Reason", required=True)
