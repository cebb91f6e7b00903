# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict
from contextlib import contextmanager
from decimal import Decimal
from functools import wraps

from dateutil.relativedelta import relativedelta
from sql import Column, Literal, Null
from sql.aggregate import Count, Min, Sum
from sql.conditionals import Case
from sql.functions import CharLength, Trim
from sql.operators import Exists

from trytond import backend
from trytond.cache import Cache
from trytond.i18n import gettext, lazy_gettext
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelStorage, ModelView, Unique,
    Workflow, fields, sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.modules.company.model import CompanyValueMixin
from trytond.modules.company_department.tools import (
    get_employee, get_user, group_by_company)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If, PYSONEncoder
from trytond.tools import grouped_slice, sqlite_apply_types
from trytond.transaction import Transaction, check_access, without_check_access
from trytond.wizard import StateAction, Wizard

from .exceptions import (
    FileAccessError, FileApproveError, FileStateError, FileValidationError,
    GradingRunError)

# Of orders that count as business
_ORDERED = ['confirmed', 'processing', 'done']
_CONFIDENTIALITIES = ['normal', 'restricted', 'secret']
# What chooses the service policy, once it is decided on
DECIDED_STATES = ['approved', 'suspended']
_POLICY_NAMES = {'kind', 'market'}
_RECORDED_NAMES = {'confidentiality'} | _POLICY_NAMES


@contextmanager
def recording(*keys):
    """Let what the keys of the context open be recorded, within or by the
    function that it decorates"""
    with Transaction().set_context(dict.fromkeys(keys, True)):
        yield


def is_same_person(user, employee=None):
    """Return whether who acts is the user, or has an employee in common with
    it, or is the employee"""
    pool = Pool()
    User = pool.get('res.user')
    with without_check_access():
        current = User(Transaction().user)
        if user and (
                user == current
                or set(user.employees) & set(current.employees)):
            return True
        return bool(employee) and employee in current.employees


def get_context_company():
    "Return the id of the company of the context if the user may see it"
    pool = Pool()
    User = pool.get('res.user')
    transaction = Transaction()
    company = transaction.context.get('company')
    if company is not None and company >= 0 and (
            not transaction.user or company in User.get_companies()):
        return company


def get_todays(companies):
    "Return by company the date of today"
    pool = Pool()
    Date = pool.get('ir.date')
    todays = {}
    for company in companies:
        with Transaction().set_context(company=company.id):
            todays[company] = Date.today()
    return todays


def is_set(column):
    "Return the expression of whether the text has been filled in"
    return (column != Null) & (CharLength(Trim(column)) > 0)


def _transition(*states):
    """Decorate a button that changes the state of files

    Workflow passes over those in other states: here it is told instead."""
    def decorator(func):
        @wraps(func)
        def wrapper(cls, files):
            for file in files:
                if file.state not in states:
                    raise FileStateError(gettext(
                            'customer_grading.msg_file_state',
                            file=file.rec_name,
                            state=cls.__names__('state', file)['value']))
            with recording('_customer_file'), without_check_access():
                return func(cls, cls.browse(files))
        return wrapper
    return decorator


class EvidenceMixin(ModelStorage):
    """What is recorded: nobody creates, changes or deletes it but the server
    itself, whatever the rights of who asks"""
    __slots__ = ()

    # The key of the context that opens it, and what tells that it is not
    _evidence_key = '_customer_file'
    _evidence_error = AccessError
    _evidence_message = 'msg_evidence'

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if not Transaction().context.get(cls._evidence_key):
            if denied := cls._get_denied(mode, records, values):
                cls._deny_modification(mode, denied)

    @classmethod
    def _get_denied(cls, mode, records, values):
        "Return those of the records that are not to be modified"
        return records

    @classmethod
    def _deny_modification(cls, mode, records):
        raise cls._evidence_error(gettext(
                f'customer_grading.{cls._evidence_message}_{mode}',
                **cls.__names__(record=records[0])))


def get_file_access(records, names):
    "Return what the rules need of the files of the records"
    pool = Pool()
    File = pool.get('customer.file')
    with without_check_access():
        files = {r.id: r.file for r in records}
        managed = File.get_managed(
            list({f for f in files.values() if f}), 'managed')
        result = {
            'file_confidentiality': {
                i: f.confidentiality if f else None
                for i, f in files.items()},
            'file_managed': {
                i: managed[f.id] if f else False for i, f in files.items()},
            }
    return {n: result[n] for n in names}


class FileMixin(ModelStorage):
    """What hangs on a customer file and stays with it

    It follows the confidentiality of the file by the rules of its model, as
    those of customer.file.manager do."""
    __slots__ = ()

    file = fields.Many2One(
        'customer.file', lazy_gettext('customer_grading.msg_file_file'),
        required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    company = fields.Function(
        fields.Many2One(
            'company.company',
            lazy_gettext('customer_grading.msg_file_company')),
        'on_change_with_company', searcher='search_file_field')
    party = fields.Function(
        fields.Many2One(
            'party.party', lazy_gettext('customer_grading.msg_file_party'),
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}),
        'on_change_with_party', searcher='search_file_field')
    # The rules need fields of the model: the export of data evaluates the
    # domains on the records and takes those of other models for true
    file_confidentiality = fields.Function(
        fields.Char(lazy_gettext('customer_grading.msg_file_confidential')),
        'get_file_access', searcher='search_file_access')
    file_managed = fields.Function(
        fields.Boolean(lazy_gettext('customer_grading.msg_file_managed')),
        'get_file_access', searcher='search_file_access')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(Index(t, (t.file, Index.Equality())))

    @fields.depends('file', '_parent_file.company')
    def on_change_with_company(self, name=None):
        return self.file.company if self.file else None

    @fields.depends('file', '_parent_file.party')
    def on_change_with_party(self, name=None):
        return self.file.party if self.file else None

    @classmethod
    def search_file_field(cls, name, clause):
        nested = clause[0][len(name):]
        return [(f'file.{name}{nested}', *clause[1:])]

    @classmethod
    def copy(cls, records, default=None):
        check_read(cls, records)
        return super().copy(records, default=default)

    @classmethod
    def get_file_access(cls, records, names):
        return get_file_access(records, names)

    @classmethod
    def search_file_access(cls, name, clause):
        return [(f'file.{name[len("file_"):]}', *clause[1:])]

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if (mode == 'write' and external and 'file' in values
                and any(r.file.id != values['file'] for r in records)):
            raise FileAccessError(gettext(
                    'customer_grading.msg_file_part_move',
                    file=records[0].file.rec_name,
                    **cls.__names__(record=records[0])))


class PartMixin(ModelStorage):
    """What has the access of the record to which it belongs

    The export of data evaluates the rules on the records and takes those that
    look into another model for true: here it reads the records first."""
    __slots__ = ()

    @classmethod
    def export_data(cls, records, fields_names, header=False):
        check_read(cls, records)
        return super().export_data(records, fields_names, header=header)


class CustomerMixin(ModelStorage):
    """What is about a customer, and confidential like its file if the company
    has one of it"""
    __slots__ = ()

    file_readable = fields.Function(
        fields.Boolean(lazy_gettext('customer_grading.msg_file_readable')),
        'get_file_readable', searcher='search_file_readable')

    @classmethod
    def get_file_readable(cls, records, name):
        pool = Pool()
        File = pool.get('customer.file')
        with without_check_access():
            customers = {
                r.id: (int(r.company), int(r.party))
                for r in cls.browse(records)}
        hidden = File.get_hidden(p for _, p in customers.values())
        return {i: c not in hidden for i, c in customers.items()}

    @classmethod
    def search_file_readable(cls, name, clause):
        pool = Pool()
        File = pool.get('customer.file')
        _, operator, value = clause
        readable = (operator == '=') == bool(value)
        return [('id', 'not in' if readable else 'in',
                cls._get_hidden(File.hidden()))]

    @classmethod
    def _get_hidden(cls, hidden):
        """Return the query of the ids of the records about the customers that
        are hidden, a query of company and party"""
        table = cls.__table__()
        return table.join(
            hidden, condition=(hidden.party == table.party)
            & (hidden.company == table.company)
            ).select(table.id)


_selection_cache = Cache('customer.file.selection', context=False)


def get_selection_name(record, name):
    "Return the label of the selection, for lists of many records"
    Model = type(record)
    key = (Model.__name__, name, Transaction().language)
    labels = _selection_cache.get(key)
    if labels is None:
        labels = dict(Model.fields_get([name])[name]['selection'])
        _selection_cache.set(key, labels)
    value = getattr(record, name)
    return labels.get(value, value)


def check_read(Model, records):
    "Check that the user may read the records, which copying does not"
    if Transaction().check_access:
        Model.read([r.id for r in records], ['id'])


class Industry(
        sequence_ordered(), DeactivableMixin, ModelSQL, ModelView):
    "The line of business of customers"
    __name__ = 'customer.industry'

    code = fields.Char("Code")
    name = fields.Char("Name", required=True, translate=True)


class File(Workflow, ModelSQL, ModelView):
    "What a company knows of a customer"
    __name__ = 'customer.file'

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    currency = fields.Function(
        fields.Many2One('currency.currency', "Currency"),
        'on_change_with_currency')
    party = fields.Many2One(
        'party.party', "Party", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('state') != 'draft',
            },
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    industry = fields.Many2One(
        'customer.industry', "Industry", ondelete='RESTRICT')
    size = fields.Selection([
            (None, ""),
            ('large', "Large"),
            ('medium', "Medium"),
            ('small', "Small"),
            ('micro', "Micro"),
            ], "Size", sort=False)
    buying_power = Monetary(
        "Buying Power", currency='currency', digits='currency',
        domain=['OR',
            ('buying_power', '=', None),
            ('buying_power', '>=', 0),
            ],
        help="For how much a year the customer could buy what the company "
        "sells.")
    kind = fields.Selection([
            ('regular', "Regular"),
            ('key', "Key"),
            ], "Kind", required=True, sort=False,
        help="A key customer has a dedicated manager.")
    market = fields.Selection([
            (None, ""),
            ('domestic', "Domestic"),
            ('international', "International"),
            ], "Market", sort=False,
        help="Leave empty to take it from the countries of the invoice "
        "addresses of the party and of the company.")
    scope = fields.Selection([
            ('general', "General"),
            ('industry', "Industry-Specific"),
            ], "Scope", required=True, sort=False,
        help="Whether the customer needs what is made for its industry.")
    customer_since = fields.Date(
        "Customer Since",
        help="Leave empty to take it from the first order.")
    contact = fields.Char(
        "Contact Person", help="Who decides or is asked at the customer.")
    needs = fields.Text("Needs")
    preferences = fields.Text("Preferences")
    confidentiality = fields.Selection([
            ('normal', "Normal"),
            ('restricted', "Restricted"),
            ('secret', "Secret"),
            ], "Confidentiality", required=True, sort=False,
        help="Normal: customer care reads the file.\n"
        "Restricted: only its managers, the group for confidential files "
        "and the auditors do.\n"
        "Secret: the auditors do not either.")
    managers = fields.One2Many(
        'customer.file.manager', 'file', "Managers",
        help="Who looks after the customer.\n"
        "They need the group Customer Care to work with the file.")
    manager = fields.Function(
        fields.Many2One('company.employee', "Manager"),
        'get_manager', searcher='search_manager')
    managed = fields.Function(
        fields.Boolean(
            "Managed by Me",
            help="Whether the user is a current manager of the file."),
        'get_managed', searcher='search_managed')

    completeness = fields.Function(
        fields.Float(
            "Completeness",
            help="How much of what the company asks for is known."),
        'get_completeness', searcher='search_completeness')
    missing = fields.Function(
        fields.Text(
            "Missing",
            states={
                'invisible': ~Eval('missing'),
                },
            help="What the company asks for that is not known yet."),
        'get_completeness')
    verified_on = fields.Date("Verified On", readonly=True)
    verified_by = fields.Many2One(
        'company.employee', "Verified By", readonly=True,
        ondelete='RESTRICT')
    next_verification = fields.Date("Next Verification", readonly=True)
    next_grading = fields.Date(
        "Next Grading", readonly=True,
        help="The date on which the customer must be graded again.")

    class_ = fields.Function(
        fields.Many2One('customer.grading.grade', "Class"),
        'get_grades', searcher='search_grade')
    level = fields.Function(
        fields.Many2One('customer.grading.grade', "Level"),
        'get_grades', searcher='search_grade')
    credit = fields.Function(
        fields.Many2One('customer.grading.grade', "Credit"),
        'get_grades', searcher='search_grade')

    order_count = fields.Function(
        fields.Integer("Orders", help="The number of orders so far."),
        'get_history')
    revenue = fields.Function(
        Monetary(
            "Revenue", currency='currency', digits='currency',
            help="The amount without taxes of the orders of the last 12 "
            "months.\n"
            "Empty if a currency has no rate on the date of an order."),
        'get_history')
    open_amount = fields.Function(
        Monetary(
            "Open Amount", currency='currency', digits='currency',
            help="What the customer has been invoiced and has not paid yet."),
        'get_history')
    complaint_count = fields.Function(
        fields.Integer("Complaints", help="The number of complaints so far."),
        'get_history')

    investigated_by = fields.Many2One(
        'company.employee', "Investigated By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('investigated_at'),
            })
    investigated_at = fields.DateTime(
        "Investigated At", readonly=True,
        states={
            'invisible': ~Eval('investigated_at'),
            })
    approved_by = fields.Many2One(
        'company.employee', "Approved By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('approved_at'),
            })
    approved_at = fields.DateTime(
        "Approved At", readonly=True,
        states={
            'invisible': ~Eval('approved_at'),
            })
    reason = fields.Text(
        "Reason",
        states={
            'invisible': ~Eval('state').in_(['approved', 'suspended']),
            },
        help="Why the file is to be suspended or resumed.\n"
        "The history keeps it.")
    events = fields.One2Many(
        'customer.file.event', 'file', "History", readonly=True)
    state = fields.Selection([
            ('draft', "Draft"),
            ('investigated', "Investigated"),
            ('approved', "Approved"),
            ('suspended', "Suspended"),
            ], "State", readonly=True, required=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints.append(
            ('party_company_unique', Unique(t, t.party, t.company),
                'customer_grading.msg_file_unique'))
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.company, Index.Equality(cardinality='low')),
                    (t.state, Index.Equality(cardinality='low'))),
                Index(
                    t,
                    (t.company, Index.Equality(cardinality='low')),
                    (t.next_verification, Index.Range())),
                })
        cls._order = [('party.name', 'ASC'), ('id', 'ASC')]
        cls._transitions |= {
            ('draft', 'investigated'),
            ('investigated', 'draft'),
            ('investigated', 'approved'),
            ('approved', 'suspended'),
            ('suspended', 'approved'),
            ('suspended', 'draft'),
            }
        cls._buttons.update({
                'investigate': {
                    'invisible': Eval('state') != 'draft',
                    'icon': 'tryton-forward',
                    'depends': ['state'],
                    },
                'approve': {
                    'invisible': Eval('state') != 'investigated',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                'suspend': {
                    'invisible': Eval('state') != 'approved',
                    'icon': 'tryton-cancel',
                    'depends': ['state'],
                    },
                'resume': {
                    'invisible': Eval('state') != 'suspended',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                'draft': {
                    'invisible': ~Eval('state').in_(
                        ['investigated', 'suspended']),
                    'icon': 'tryton-back',
                    'depends': ['state'],
                    },
                'verify': {
                    'icon': 'tryton-ok',
                    },
                })

    # Defaults

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_kind(cls):
        return 'regular'

    @classmethod
    def default_scope(cls):
        return 'general'

    @classmethod
    def default_confidentiality(cls):
        return 'normal'

    @classmethod
    def default_state(cls):
        return 'draft'

    @fields.depends('company')
    def on_change_with_currency(self, name=None):
        return self.company.currency if self.company else None

    @fields.depends('company', 'party', 'market', 'customer_since')
    def on_change_party(self):
        if self.company and self.party:
            if not self.market:
                self.market = self._get_market()
            if not self.customer_since:
                self.customer_since = self._get_first_orders(
                    self.company, [self.party]).get(self.party.id)

    def _get_market(self):
        address = self.party.address_get(type='invoice')
        own = self.company.party.address_get(type='invoice')
        country = address.country if address else None
        own_country = own.country if own else None
        if country and own_country:
            return (
                'domestic' if country == own_country else 'international')

    @classmethod
    def _get_first_orders(cls, company, parties):
        "Return by id of party the date of its first order"
        pool = Pool()
        Sale = pool.get('sale.sale')
        sale = Sale.__table__()
        cursor = Transaction().connection.cursor()
        query = sale.select(
            sale.party, Min(sale.sale_date).as_('date'),
            where=(sale.company == company.id)
            & sale.state.in_(_ORDERED)
            & fields.SQL_OPERATORS['in'](
                sale.party, [p.id for p in parties]),
            group_by=sale.party)
        if backend.name == 'sqlite':
            sqlite_apply_types(query, [None, 'DATE'])
        cursor.execute(*query)
        return dict(cursor)

    @classmethod
    @without_check_access
    def complete(cls, files):
        "Fill in what the system knows and nobody has entered"
        files = cls.browse(files)
        by_company = defaultdict(list)
        for file in files:
            if not file.customer_since:
                by_company[file.company].append(file)
            if not file.market:
                file.market = file._get_market()
        for company, c_files in by_company.items():
            dates = cls._get_first_orders(company, [f.party for f in c_files])
            for file in c_files:
                file.customer_since = dates.get(file.party.id)
        cls.save(files)

    def get_rec_name(self, name):
        return self.party.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'suspended', 'muted', '')),
            ('/tree/field[@name="next_verification"]', 'visual',
                If(Eval('next_verification', Date()) < Date(), 'danger', '')),
            ]

    # Confidentiality

    @classmethod
    def _managed(cls):
        "Return the query of the files of which the user is a manager"
        pool = Pool()
        Manager = pool.get('customer.file.manager')
        UserEmployee = pool.get('res.user-company.employee')
        # The rules are evaluated as root
        user = get_user()
        manager = Manager.__table__()
        relation = UserEmployee.__table__()
        return manager.join(
            relation, condition=manager.employee == relation.employee
            ).select(
                manager.file,
                where=(relation.user == user) & Manager.is_current(manager))

    @classmethod
    def get_managed(cls, files, name):
        cursor = Transaction().connection.cursor()
        managed = cls._managed()
        managed.where &= fields.SQL_OPERATORS['in'](
            managed.columns[0], [f.id for f in files])
        cursor.execute(*managed)
        ids = {id_ for id_, in cursor}
        return {f.id: f.id in ids for f in files}

    @classmethod
    def search_managed(cls, name, clause):
        _, operator, value = clause
        if (operator == '=' and value) or (operator == '!=' and not value):
            operator = 'in'
        else:
            operator = 'not in'
        return [('id', operator, cls._managed())]

    @classmethod
    def get_manager(cls, files, name):
        pool = Pool()
        Manager = pool.get('customer.file.manager')
        managers = dict.fromkeys([f.id for f in files])
        cursor = Transaction().connection.cursor()
        manager = Manager.main()
        cursor.execute(*manager.select(
                manager.file, manager.employee,
                where=fields.SQL_OPERATORS['in'](
                    manager.file, list(managers))))
        managers.update(cursor)
        return managers

    @classmethod
    def search_manager(cls, name, clause):
        pool = Pool()
        Employee = pool.get('company.employee')
        Manager = pool.get('customer.file.manager')
        manager = Manager.main()
        _, operator, *value = clause
        if clause[0] == name and value == [None]:
            query = manager.select(manager.file)
            return [('id', 'not in' if operator == '=' else 'in', query)]
        nested = clause[0][len(name) + 1:] or (
            'rec_name' if isinstance(value[0], str) else 'id')
        negated = operator.startswith('not ') or operator == '!='
        if negated:
            operator = '=' if operator == '!=' else operator[len('not '):]
        employees = Employee.search(
            [(nested, operator, *value)], order=[], query=True)
        query = manager.select(
            manager.file, where=manager.employee.in_(employees))
        return [('id', 'not in' if negated else 'in', query)]

    @classmethod
    def get_files(cls, company, parties):
        "Return by id of party the file that the company has of it"
        files = {}
        ids = list({int(p) for p in parties})
        if ids:
            with without_check_access():
                files = {
                    f.party.id: f for f in cls.search([
                            ('company', '=', int(company)),
                            ('party', 'in', ids),
                            ], order=[])}
        return files

    @classmethod
    def _private_fields(cls):
        "The fields by which nobody searches without the right to read them"
        return {'needs', 'preferences', 'contact', 'buying_power', 'reason'}

    @classmethod
    def search_domain(cls, domain, active_test=None, tables=None):
        """Check the fields that are searched by from whatever model

        Tryton does not look into the domain of the operator where."""
        pool = Pool()
        ModelFieldAccess = pool.get('ir.model.field.access')

        def get_names(domain):
            if isinstance(domain, (list, tuple)) and domain:
                if (isinstance(domain[0], str)
                        and domain[0] not in {'AND', 'OR'}):
                    yield domain[0].split('.', 1)[0]
                else:
                    for subdomain in domain:
                        yield from get_names(subdomain)

        names = cls._private_fields().intersection(get_names(domain))
        if names and Transaction().user:
            with check_access():
                ModelFieldAccess.check(cls.__name__, names, 'read')
        return super().search_domain(
            domain, active_test=active_test, tables=tables)

    @classmethod
    def search_readable(cls, domain, query=False):
        "Search as the user, whose rights getters and searchers leave aside"
        pool = Pool()
        ModelAccess = pool.get('ir.model.access')
        with check_access():
            if ModelAccess.check(cls.__name__, 'read', raise_exception=False):
                return cls.search(domain, order=[], query=query)
        return cls.search([('id', '=', -1)], order=[], query=query)

    @classmethod
    def hidden(cls):
        """Return the query of company and party of the customers whose files
        the user may not read"""
        transaction = Transaction()
        # The rules are evaluated as root
        user = get_user()
        table = cls.__table__()
        where = table.confidentiality != 'normal'
        if user:
            with transaction.set_user(user):
                readable = cls.search_readable(
                    [('confidentiality', '!=', 'normal')], query=True)
            where &= ~table.id.in_(readable)
        else:
            where = Literal(False)
        return table.select(table.company, table.party, where=where)

    @classmethod
    def get_hidden(cls, parties):
        """Return the set of couples of company and party of those of the
        parties whose files the user may not read"""
        cursor = Transaction().connection.cursor()
        hidden = set()
        for ids in grouped_slice({int(p) for p in parties}, 2000):
            query = cls.hidden()
            table, = query.from_
            query.where &= fields.SQL_OPERATORS['in'](table.party, list(ids))
            cursor.execute(*query)
            hidden.update(cursor)
        return hidden

    @classmethod
    def may_read_credit(cls):
        "Return whether the user may read the credit of customers"
        pool = Pool()
        ModelAccess = pool.get('ir.model.access')
        ModelFieldAccess = pool.get('ir.model.field.access')
        with check_access():
            return bool(
                ModelAccess.check(cls.__name__, 'read', raise_exception=False)
                and ModelFieldAccess.check(
                    cls.__name__, ['credit'], 'read', raise_exception=False))

    @classmethod
    def search_from(cls, Model, field, name, clause):
        """Return the domain of the records of the model that concern, as
        their field tells, the customers whose files follow the clause"""
        _, operator, *value = clause
        nested = clause[0][len(name) + 1:]
        negated = False
        if nested:
            domain = [(nested, operator, *value)]
        elif value == [None]:
            domain, negated = [], operator == '='
        elif operator.endswith('where'):
            domain, negated = value[0], operator.startswith('not ')
        else:
            negated = operator.startswith('not ') or operator == '!='
            if negated:
                operator = '=' if operator == '!=' else operator[len('not '):]
            target = 'rec_name' if isinstance(value[0], str) else 'id'
            domain = [(target, operator, *value)]
        files = cls.search_readable(domain, query=True)
        table, file = Model.__table__(), cls.__table__()
        where = file.id.in_(files) & (file.party == Column(table, field))
        if 'company' in Model._fields:
            where &= file.company == table.company
        else:
            where &= file.company == Transaction().context.get('company')
        return [('id', 'not in' if negated else 'in', table.select(
                    table.id,
                    where=Exists(file.select(Literal(1), where=where))))]

    # Completeness

    @classmethod
    def _get_points(cls, file):
        """Return by the name of what a company can ask for the expression of
        whether it is known of the rows of the table"""
        pool = Pool()
        Address = pool.get('party.address')
        ContactMechanism = pool.get('party.contact_mechanism')
        Identifier = pool.get('party.identifier')
        Manager = pool.get('customer.file.manager')

        def has(Model, where):
            table = Model.__table__()
            return Exists(table.select(
                    Literal(1),
                    where=(table.party == file.party)
                    & (table.active == Literal(True)) & where(table)))

        manager = Manager.__table__()
        return {
            'industry': file.industry != Null,
            'size': file.size != Null,
            'buying_power': file.buying_power != Null,
            'market': file.market != Null,
            'needs': is_set(file.needs),
            'preferences': is_set(file.preferences),
            'contact': is_set(file.contact),
            'customer_since': file.customer_since != Null,
            'manager': Exists(manager.select(
                    Literal(1),
                    where=(manager.file == file.id)
                    & Manager.is_current(manager))),
            'address': has(Address, lambda a: (
                    is_set(a.city) | is_set(a.street_unstructured)
                    | is_set(a.street_name))),
            'telephone': has(
                ContactMechanism, lambda m: m.type.in_(['phone', 'mobile'])),
            'email': has(ContactMechanism, lambda m: m.type == 'email'),
            'identifier': has(Identifier, lambda i: is_set(i.code)),
            }

    @classmethod
    def _get_company_points(cls, company):
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        return Configuration(1).get_multivalue(
            'file_points', company=company) or ()

    @classmethod
    def get_completeness(cls, files, names):
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        expressions = cls._get_points(table)
        labels = dict(Configuration.get_file_points())
        result = {
            'completeness': {f.id: 1. for f in files},
            'missing': {f.id: None for f in files},
            }
        by_company = defaultdict(list)
        for file in files:
            by_company[file.company.id].append(file.id)
        for company, ids in by_company.items():
            points = cls._get_company_points(company)
            points = [p for p in labels if p in points]
            if not points:
                continue
            cursor.execute(*table.select(
                    table.id, *(
                        Case((expressions[p], 1), else_=0).as_(p)
                        for p in points),
                    where=fields.SQL_OPERATORS['in'](table.id, ids)))
            for id_, *known in cursor:
                result['completeness'][id_] = sum(known) / len(points)
                result['missing'][id_] = ', '.join(
                    labels[p] for p, k in zip(points, known) if not k) or None
        return {n: result[n] for n in names}

    @classmethod
    def search_completeness(cls, name, clause):
        pool = Pool()
        Company = pool.get('company.company')
        _, operator, value = clause
        Operator = fields.SQL_OPERATORS[operator]
        table = cls.__table__()
        expressions = cls._get_points(table)
        where = Literal(False)
        for company in Company.search([], order=[]):
            points = cls._get_company_points(company.id)
            share = Literal(1.)
            if points:
                known = Literal(0)
                for point in points:
                    known += Case((expressions[point], 1), else_=0)
                share = known / float(len(points))
            where |= (table.company == company.id) & Operator(share, value)
        return [('id', 'in', table.select(table.id, where=where))]

    # History

    @classmethod
    def get_grades(cls, files, names):
        pool = Pool()
        grades = {n: dict.fromkeys([f.id for f in files]) for n in names}
        Grade = pool.get('customer.grade')
        for company, c_files in group_by_company(files):
            current = Grade.get_current(
                company, [f.party.id for f in c_files])
            for file in c_files:
                axes = current.get(file.party.id, {})
                for name in names:
                    grades[name][file.id] = axes.get(name.rstrip('_'))
        return grades

    @classmethod
    def search_grade(cls, name, clause):
        pool = Pool()
        Grade = pool.get('customer.grade')
        _, operator, *value = clause
        nested = clause[0][len(name):]
        table = cls.__table__()
        if not nested and value == [None]:
            domain, negated = [], operator == '='
        else:
            negated = operator.startswith('not ') or operator == '!='
            if negated:
                operator = '=' if operator == '!=' else operator[len('not '):]
            domain = [(f'grade{nested}', operator, *value)]
        with without_check_access():
            query = Grade.search([
                    ('axis', '=', name.rstrip('_')),
                    ('end_date', '=', None),
                    *domain,
                    ], order=[], query=True)
        grade = Grade.__table__()
        exists = Exists(grade.select(
                Literal(1),
                where=grade.id.in_(query)
                & (grade.party == table.party)
                & (grade.company == table.company)))
        return [('id', 'not in' if negated else 'in',
                table.select(table.id, where=exists))]

    @classmethod
    def get_history(cls, files, names):
        history = {}
        by_company = defaultdict(dict)
        for file in files:
            by_company[file.company][file.party.id] = file.id
        for name in names:
            zero = Decimal(0) if name in {'revenue', 'open_amount'} else 0
            history[name] = dict.fromkeys([f.id for f in files], zero)
        for company, parties in by_company.items():
            for name in names:
                values = getattr(cls, f'_get_{name}')(company, list(parties))
                for party, value in values:
                    history[name][parties[party]] = value
        return history

    @classmethod
    def _get_order_count(cls, company, parties):
        pool = Pool()
        Sale = pool.get('sale.sale')
        sale = Sale.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*sale.select(
                sale.party, Count(sale.id),
                where=(sale.company == company.id)
                & sale.state.in_(_ORDERED)
                & fields.SQL_OPERATORS['in'](sale.party, parties),
                group_by=sale.party))
        return cursor.fetchall()

    @classmethod
    def _get_revenue(cls, company, parties):
        pool = Pool()
        Date = pool.get('ir.date')
        Metric = pool.get('customer.grading.metric')
        with Transaction().set_context(company=company.id):
            today = Date.today()
        try:
            sale = Metric.sales(
                company, today - relativedelta(months=12), today,
                parties=parties)
        except GradingRunError:
            # Only of those with a currency without rate it is not known
            if len(parties) == 1:
                return [(parties[0], None)]
            half = len(parties) // 2
            return [
                *cls._get_revenue(company, parties[:half]),
                *cls._get_revenue(company, parties[half:])]
        return cls._get_amounts(sale.select(
                sale.party, Sum(sale.amount).as_('amount'),
                group_by=sale.party), company)

    @classmethod
    def _get_open_amount(cls, company, parties):
        pool = Pool()
        Party = pool.get('party.party')
        return cls._get_amounts(Party._receivable_payable_query(
                ['receivable'], company, Party.browse(parties)), company)

    @classmethod
    def _get_overdue_amount(cls, company, parties):
        pool = Pool()
        Party = pool.get('party.party')
        return cls._get_amounts(Party._receivable_payable_query(
                ['receivable_today'], company, Party.browse(parties)), company)

    @classmethod
    def _get_amounts(cls, query, company):
        cursor = Transaction().connection.cursor()
        if backend.name == 'sqlite':
            sqlite_apply_types(query, [None, 'NUMERIC'])
        cursor.execute(*query)
        return [
            (p, company.currency.round(a or Decimal(0))) for p, a in cursor]

    @classmethod
    def _get_complaint_count(cls, company, parties):
        pool = Pool()
        try:
            Complaint = pool.get('sale.complaint')
        except KeyError:
            return []
        complaint = Complaint.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*complaint.select(
                complaint.customer, Count(complaint.id),
                where=(complaint.company == company.id)
                & ~complaint.state.in_(['draft', 'cancelled'])
                & fields.SQL_OPERATORS['in'](complaint.customer, parties),
                group_by=complaint.customer))
        return cursor.fetchall()

    # Modification

    @classmethod
    def _evidence_fields(cls):
        "The fields that only the buttons set"
        return {
            'state', 'verified_on', 'verified_by', 'next_verification',
            'next_grading',
            'investigated_by', 'investigated_at', 'approved_by',
            'approved_at', 'events'}

    @classmethod
    def check_modification(cls, mode, files, values=None, external=False):
        super().check_modification(
            mode, files, values=values, external=external)
        if mode == 'delete':
            for file in files:
                if file.state != 'draft' or file.events:
                    raise FileAccessError(gettext(
                            'customer_grading.msg_file_delete',
                            file=file.rec_name))
        if not external or Transaction().context.get('_customer_file'):
            return
        if mode == 'create':
            for file in files:
                for name in cls._evidence_fields():
                    value = getattr(file, name)
                    if value and (name, value) != ('state', 'draft'):
                        raise FileAccessError(gettext(
                                'customer_grading.msg_file_evidence',
                                file=file.rec_name,
                                **cls.__names__(name)))
        elif mode == 'write':
            for name in values.keys() & (
                    cls._evidence_fields() | {'company'}):
                raise FileAccessError(gettext(
                        'customer_grading.msg_file_evidence',
                        file=files[0].rec_name,
                        **cls.__names__(name)))
            if 'party' in values:
                for file in files:
                    if (file.state != 'draft'
                            and file.party.id != values['party']):
                        raise FileAccessError(gettext(
                                'customer_grading.msg_file_party_change',
                                file=file.rec_name))
            if 'confidentiality' in values:
                cls._check_confidentiality(files, values['confidentiality'])
            cls._check_decided(files, values)

    @classmethod
    def _check_confidentiality(cls, files, value):
        "Check that the user may lower the confidentiality"
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        if value not in _CONFIDENTIALITIES:
            return
        group = ModelData.get_id(
            'customer_grading', 'group_customer_confidential')
        level = _CONFIDENTIALITIES.index(value)
        for file in files:
            if (level < _CONFIDENTIALITIES.index(file.confidentiality)
                    and group not in User.get_groups()):
                raise FileAccessError(gettext(
                        'customer_grading.msg_file_confidentiality',
                        file=file.rec_name))

    @classmethod
    def _check_decided(cls, files, values):
        "Check that the user may change what chooses the service policy"
        pool = Pool()
        Group = pool.get('res.group')
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        group = ModelData.get_id('customer_grading', 'group_customer_credit')
        if group in User.get_groups():
            return
        for name in values.keys() & _POLICY_NAMES:
            for file in files:
                if (file.state in DECIDED_STATES
                        and getattr(file, name) != values[name]):
                    raise FileAccessError(gettext(
                            'customer_grading.msg_file_policy',
                            file=file.rec_name,
                            group=Group(group).rec_name,
                            **cls.__names__(name)))

    @classmethod
    def create(cls, vlist):
        # Its managers are those who see it from the beginning
        with Transaction().set_context(_customer_file_new=True):
            files = super().create(vlist)
        return cls.browse(files)

    @classmethod
    def write(cls, *args):
        pool = Pool()
        Event = pool.get('customer.file.event')
        changed = defaultdict(list)
        actions = iter(args)
        for files, values in zip(actions, actions):
            for name in values.keys() & _RECORDED_NAMES:
                changed[name].extend(
                    (f.id, getattr(f, name)) for f in files
                    if getattr(f, name) != values[name]
                    and (name not in _POLICY_NAMES
                        or f.state in DECIDED_STATES))
        super().write(*args)
        for name, before in changed.items():
            if not before:
                continue
            with without_check_access():
                names = dict(
                    cls.fields_get([name])[name]['selection'])
                files = cls.browse([id_ for id_, _ in before])
                Event.record(files, name, {
                        f: f'{names[b]} → {names[getattr(f, name)]}'
                        for f, (_, b) in zip(files, before)})

    @classmethod
    def on_modification(cls, mode, files, field_names=None):
        super().on_modification(mode, files, field_names=field_names)
        if mode == 'create':
            cls.complete(files)

    @classmethod
    def copy(cls, files, default=None):
        check_read(cls, files)
        default = default.copy() if default is not None else {}
        for name in cls._evidence_fields() | {
                'managers', 'investigations', 'reason', 'customer_since'}:
            default[name] = cls.default_state() if name == 'state' else None
        return super().copy(files, default=default)

    @classmethod
    def get_used(cls, files):
        "Return those of the files that are not drafts without any history"
        pool = Pool()
        used = {f for f in files if f.state != 'draft'}
        ids = [f.id for f in files]
        for model, Model in pool.iterobject():
            if (not ids or not issubclass(Model, ModelSQL)
                    or callable(Model.table_query)
                    or model == 'customer.file.manager'):
                continue
            for name, field in Model._fields.items():
                if (isinstance(field, fields.Many2One)
                        and field.model_name == cls.__name__):
                    used.update(
                        getattr(r, name) for r in Model.search(
                            [(name, 'in', ids)], order=[]))
        return used

    # Workflow

    @classmethod
    def _decide(cls, files, kind, prefix=None, **values):
        """Record who did what and when

        The reasons of the files go to their history."""
        pool = Pool()
        Event = pool.get('customer.file.event')
        employees = cls._get_employees(files)
        with recording('_customer_file'), without_check_access():
            Event.record(files, kind, {f: f.reason for f in files})
            if prefix:
                for employee, e_files in employees.items():
                    cls.write(e_files, {
                            f'{prefix}_by': employee.id if employee else None,
                            f'{prefix}_at': dt.datetime.now(),
                            })
            cls.write(files, {'reason': None, **values})

    @classmethod
    def _get_employees(cls, files):
        """Return by employee of the user the files

        Raise FileStateError if the user has none in the company of a file."""
        employees = defaultdict(list)
        for company, c_files in group_by_company(files):
            employee = get_employee(company, current=True)
            if not employee and Transaction().user:
                raise FileStateError(gettext(
                        'customer_grading.msg_file_employee',
                        file=c_files[0].rec_name,
                        company=company.rec_name))
            employees[employee].extend(c_files)
        return employees

    @classmethod
    def _get_valid_investigations(cls, files):
        "Return by file its last investigation if it is done and valid"
        pool = Pool()
        Investigation = pool.get('customer.credit.investigation')
        return Investigation.get_valid(files)

    @classmethod
    def _get_approve_missing(cls, files):
        """Return by file the texts of what it misses to be approved

        Other modules add theirs by super()."""
        missing = {}
        valid = cls._get_valid_investigations(files)
        managed = cls._get_manager_required(files)
        for file in files:
            texts = missing[file] = []
            if file.missing:
                texts.extend(file.missing.split(', '))
            if file not in valid:
                texts.append(gettext(
                        'customer_grading.msg_file_missing_investigation'))
            if file in managed and not file.manager:
                text = dict(
                    Pool().get('customer.configuration').get_file_points()
                    )['manager']
                if text not in texts:
                    texts.append(text)
        return missing

    @classmethod
    def _get_manager_required(cls, files):
        "Return the set of the files of customers who must have a manager"
        return {f for f in files if f.kind == 'key'}

    @classmethod
    def _check_missing(cls, files, missing):
        lines = [
            f'{f.rec_name}: {", ".join(missing[f])}'
            for f in files if missing.get(f)]
        if lines:
            raise FileApproveError(
                gettext('customer_grading.msg_file_missing'),
                '\n'.join(lines))

    @classmethod
    @ModelView.button
    @_transition('draft')
    @Workflow.transition('investigated')
    def investigate(cls, files):
        valid = cls._get_valid_investigations(files)
        text = gettext('customer_grading.msg_file_missing_investigation')
        cls._check_missing(
            files, {f: [text] for f in files if f not in valid})
        cls.complete(files)
        cls._decide(files, 'investigate', 'investigated')

    @classmethod
    @ModelView.button
    @_transition('investigated')
    @Workflow.transition('approved')
    def approve(cls, files):
        cls._check_missing(files, cls._get_approve_missing(files))
        cls._check_segregated(files)
        cls._decide(files, 'approve', 'approved')

    @classmethod
    def _check_segregated(cls, files):
        "Check that who approves is not who investigated"
        user = Transaction().user
        valid = cls._get_valid_investigations(files)
        for employee, e_files in cls._get_employees(files).items():
            for file in e_files:
                investigation = valid[file]
                if (employee and employee in {
                            investigation.investigator,
                            investigation.done_by,
                            file.investigated_by}
                        or user and investigation.done_user
                        and investigation.done_user.id == user):
                    raise FileApproveError(gettext(
                            'customer_grading.msg_file_segregated',
                            file=file.rec_name,
                            employee=(
                                employee.rec_name if employee else '')))

    @classmethod
    def _check_reason(cls, files):
        for file in files:
            if not (file.reason or '').strip():
                raise FileStateError(gettext(
                        'customer_grading.msg_file_reason',
                        file=file.rec_name))

    @classmethod
    @ModelView.button
    @_transition('approved')
    @Workflow.transition('suspended')
    def suspend(cls, files):
        cls._check_reason(files)
        cls._decide(files, 'suspend')

    @classmethod
    @ModelView.button
    @_transition('suspended')
    @Workflow.transition('approved')
    def resume(cls, files):
        cls._check_reason(files)
        cls._decide(files, 'resume')

    @classmethod
    @ModelView.button
    @_transition('investigated', 'suspended')
    @Workflow.transition('draft')
    def draft(cls, files):
        cls._decide(
            files, 'draft',
            investigated_by=None, investigated_at=None,
            approved_by=None, approved_at=None)

    @classmethod
    def _get_verification_interval(cls, files):
        "Return by file the months after which it is verified again"
        pool = Pool()
        Configuration = pool.get('customer.configuration')
        configuration = Configuration(1)
        months = {}
        for company in {f.company for f in files}:
            months[company] = configuration.get_multivalue(
                'verification_interval', company=company.id)
        return {f: months[f.company] for f in files}

    @classmethod
    @ModelView.button
    def verify(cls, files):
        "Record that what the files say is still true"
        pool = Pool()
        Date = pool.get('ir.date')
        Event = pool.get('customer.file.event')
        with without_check_access():
            files = cls.browse(files)
            intervals = cls._get_verification_interval(files)
            to_write = []
            for employee, e_files in cls._get_employees(files).items():
                for file in e_files:
                    with Transaction().set_context(company=file.company.id):
                        today = Date.today()
                    months = intervals[file]
                    to_write.extend(([file], {
                                'verified_on': today,
                                'verified_by': (
                                    employee.id if employee else None),
                                'next_verification': (
                                    today + relativedelta(months=months)
                                    if months else None),
                                }))
            with recording('_customer_file'):
                if to_write:
                    cls.write(*to_write)
                Event.record(files, 'verify')
                cls.complete(files)


class Manager(FileMixin, ModelSQL, ModelView):
    "Who looks after a customer, and when"
    __name__ = 'customer.file.manager'

    employee = fields.Many2One(
        'company.employee', "Employee", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    start_date = fields.Date(
        "Start Date",
        domain=[
            If(Bool(Eval('start_date')) & Bool(Eval('end_date')),
                ('start_date', '<=', Eval('end_date', None)),
                ()),
            ])
    end_date = fields.Date("End Date")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.file.ondelete = 'CASCADE'
        cls._sql_indexes.add(Index(t, (t.employee, Index.Equality())))
        cls._order = [('start_date', 'DESC'), ('id', 'DESC')]

    @classmethod
    def default_start_date(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today()

    def get_rec_name(self, name):
        return self.employee.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('employee.rec_name', *clause[1:])]

    @classmethod
    def create(cls, vlist):
        """Nobody becomes a manager of a file that one cannot see: afterwards
        the rules would allow it"""
        pool = Pool()
        File = pool.get('customer.file')
        transaction = Transaction()
        if (transaction.check_access
                and not transaction.context.get('_customer_file_new')):
            files = {v['file'] for v in vlist if v.get('file')}
            with check_access():
                File.read(list(files), ['id'])
        return super().create(vlist)

    @classmethod
    def is_current(cls, manager):
        "Return the expression of whether the row of the table is in force"
        pool = Pool()
        Date = pool.get('ir.date')
        today = Date.today()
        return (
            ((manager.start_date == Null) | (manager.start_date <= today))
            & ((manager.end_date == Null) | (manager.end_date >= today)))

    @classmethod
    def main(cls):
        "Return the query of the first of the current managers of each file"
        table = cls.__table__()
        first = table.select(
            Min(table.id).as_('id'),
            where=cls.is_current(table), group_by=table.file)
        manager = cls.__table__()
        return manager.select(
            manager.file, manager.employee, where=manager.id.in_(first))

    @classmethod
    def validate_fields(cls, managers, field_names):
        super().validate_fields(managers, field_names)
        cls.check_overlap(managers)

    @classmethod
    def check_overlap(cls, managers):
        "Check that nobody manages a file twice at the same time"
        cursor = Transaction().connection.cursor()
        table, other = cls.__table__(), cls.__table__()
        cursor.execute(*table.join(
                other, condition=(table.file == other.file)
                & (table.employee == other.employee)
                & (table.id != other.id)
                & ((table.start_date == Null) | (other.end_date == Null)
                    | (table.start_date <= other.end_date))
                & ((other.start_date == Null) | (table.end_date == Null)
                    | (other.start_date <= table.end_date))
                ).select(
                    table.id,
                    where=fields.SQL_OPERATORS['in'](
                        table.id, [m.id for m in managers]),
                    limit=1))
        if row := cursor.fetchone():
            manager = cls(row[0])
            raise FileValidationError(gettext(
                    'customer_grading.msg_file_manager_overlap',
                    employee=manager.employee.rec_name,
                    file=manager.file.rec_name))


class Event(EvidenceMixin, FileMixin, ModelSQL, ModelView):
    "What was done with a customer file"
    __name__ = 'customer.file.event'

    kind = fields.Selection([
            ('investigate', "Investigated"),
            ('approve', "Approved"),
            ('suspend', "Suspended"),
            ('resume', "Resumed"),
            ('draft', "Reset to Draft"),
            ('verify', "Verified"),
            ('confidentiality', "Confidentiality Changed"),
            ('kind', "Kind Changed"),
            ('market', "Market Changed"),
            ('replace', "Merged"),
            ], "What", required=True, readonly=True, sort=False)
    at = fields.DateTime("At", required=True, readonly=True)
    employee = fields.Many2One(
        'company.employee', "Employee", readonly=True, ondelete='RESTRICT')
    user = fields.Many2One(
        'res.user', "User", readonly=True, ondelete='RESTRICT')
    reason = fields.Text("Reason", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('at', 'DESC'), ('id', 'DESC')]

    def get_rec_name(self, name):
        kind = get_selection_name(self, 'kind')
        return f'{self.file.rec_name} – {kind}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('file.rec_name', *clause[1:])]

    @classmethod
    def record(cls, files, kind, reasons=None):
        "Record what the user does with the files and why"
        employees = {}
        for company in {f.company for f in files}:
            employees[company] = get_employee(company, current=True)
        now = dt.datetime.now()
        with recording('_customer_file'), without_check_access():
            return cls.create([{
                        'file': f.id,
                        'kind': kind,
                        'at': now,
                        'employee': (
                            employees[f.company].id
                            if employees[f.company] else None),
                        'user': Transaction().user,
                        'reason': (reasons or {}).get(f),
                        } for f in files])


class Configuration(metaclass=PoolMeta):
    __name__ = 'customer.configuration'

    file_points = fields.MultiValue(fields.MultiSelection(
            'get_file_points', "Required Information",
            help="What must be known of a customer to approve its file."))
    verification_interval = fields.MultiValue(fields.Integer(
            "Verification Interval",
            domain=['OR',
                ('verification_interval', '=', None),
                ('verification_interval', '>', 0),
                ],
            help="After how many months a customer file is verified again.\n"
            "Leave empty for no verification."))

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field in {'file_points', 'verification_interval'}:
            return pool.get('customer.configuration.file')
        return super().multivalue_model(field)

    @classmethod
    def get_file_points(cls):
        pool = Pool()
        Value = pool.get('customer.configuration.file')
        return Value.fields_get(['file_points'])['file_points']['selection']

    @classmethod
    def default_file_points(cls, **pattern):
        return cls.multivalue_model('file_points').default_file_points()

    @classmethod
    def default_verification_interval(cls, **pattern):
        return cls.multivalue_model(
            'verification_interval').default_verification_interval()


class ConfigurationFile(CompanyValueMixin, ModelSQL):
    __name__ = 'customer.configuration.file'

    # Each of them has an expression in the method _get_points of the file
    file_points = fields.MultiSelection([
            ('industry', "Industry"),
            ('size', "Size"),
            ('buying_power', "Buying Power"),
            ('market', "Market"),
            ('needs', "Needs"),
            ('preferences', "Preferences"),
            ('contact', "Contact Person"),
            ('customer_since', "Customer Since"),
            ('manager', "Manager"),
            ('address', "Address"),
            ('telephone', "Telephone"),
            ('email', "E-Mail"),
            ('identifier', "Identifier"),
            ], "Required Information", sort=False)
    verification_interval = fields.Integer(
        "Verification Interval",
        domain=['OR',
            ('verification_interval', '=', None),
            ('verification_interval', '>', 0),
            ])

    @classmethod
    def default_file_points(cls):
        return [
            'industry', 'size', 'buying_power', 'market', 'needs', 'contact',
            'address', 'telephone']

    @classmethod
    def default_verification_interval(cls):
        return 12


class CustomerFileMixin:
    "Lead from what concerns a customer to its file, if the user may read it"
    __slots__ = ()
    _customer_field = 'party'

    customer_file = fields.Function(
        fields.Many2One(
            'customer.file',
            lazy_gettext('customer_grading.msg_file_customer_file'),
            states={
                'invisible': ~Eval('customer_file'),
                }),
        'get_customer_file', searcher='search_customer_file')

    @classmethod
    def get_customer_file(cls, records, name):
        pool = Pool()
        File = pool.get('customer.file')
        result = dict.fromkeys([r.id for r in records])
        by_company = defaultdict(lambda: defaultdict(list))
        for record in records:
            party = getattr(record, cls._customer_field)
            if record.company and party:
                by_company[record.company.id][party.id].append(record.id)
        for company, parties in by_company.items():
            for file in File.search_readable([
                        ('company', '=', company),
                        ('party', 'in', list(parties)),
                        ]):
                for id_ in parties[file.party.id]:
                    result[id_] = file.id
        return result

    @classmethod
    def search_customer_file(cls, name, clause):
        pool = Pool()
        File = pool.get('customer.file')
        return File.search_from(
            cls, cls._customer_field, name, clause)


class Sale(CustomerFileMixin, metaclass=PoolMeta):
    __name__ = 'sale.sale'


class Invoice(CustomerFileMixin, metaclass=PoolMeta):
    __name__ = 'account.invoice'


class Grade(CustomerFileMixin, metaclass=PoolMeta):
    __name__ = 'customer.grade'


class Complaint(CustomerFileMixin, metaclass=PoolMeta):
    __name__ = 'sale.complaint'
    _customer_field = 'customer'


class OpenFile(Wizard):
    "Open the files of the customers of the sales"
    __name__ = 'customer.file.open'
    start_state = 'open_'
    open_ = StateAction('customer_grading.act_file_form')

    def do_open_(self, action):
        files = [r.customer_file for r in self.records if r.customer_file]
        action['domains'] = []
        action['pyson_domain'] = PYSONEncoder().encode(
            [('id', 'in', [f.id for f in files])])
        if len(set(files)) == 1:
            action['views'].reverse()
            return action, {'res_id': [files[0].id]}
        return action, {}
