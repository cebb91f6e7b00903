# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict

from sql import Literal, Null, Union
from sql.conditionals import Case, Coalesce
from sql.operators import Concat, Exists

from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.modules.company_department.tools import (
    get_user, get_users, notify, per_company)
from trytond.pool import Pool
from trytond.pyson import Eval, If, PYSONEncoder
from trytond.transaction import Transaction
from trytond.wizard import StateAction, Wizard

from .file import get_file_access, get_selection_name

# Within how many days before its date something is shown
_AHEAD = dt.timedelta(days=30)


class Due(ModelSQL, ModelView):
    """What is due for the customers, of all kinds in one list

    Each kind is the query that its method _due_<kind> returns. Other modules
    add the kind to the selection and the method."""
    __name__ = 'customer.due'

    kind = fields.Selection([
            ('verification', "Verification"),
            ('investigation', "Investigation"),
            ('manager', "Manager"),
            ], "What", sort=False)
    company = fields.Many2One('company.company', "Company")
    party = fields.Many2One(
        'party.party', "Party",
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    file = fields.Many2One('customer.file', "Customer File")
    due_date = fields.Date("Due Date")
    employee = fields.Many2One(
        'company.employee', "Responsible",
        help="Who has to do it, or the manager of the customer.")
    origin = fields.Reference("Origin", 'get_origins')
    late = fields.Boolean("Late")
    file_confidentiality = fields.Function(
        fields.Char("Confidentiality of the File"),
        'get_file_access', searcher='search_file_access')
    file_managed = fields.Function(
        fields.Boolean("File Managed by Me"),
        'get_file_access', searcher='search_file_access')
    mine = fields.Function(
        fields.Boolean("Mine"), 'get_mine', searcher='search_mine')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('due_date', 'ASC'), ('id', 'ASC')]

    @classmethod
    def get_origins(cls):
        pool = Pool()
        IrModel = pool.get('ir.model')
        get_name = IrModel.get_name
        return [(m, get_name(m)) for m in cls._get_origins()]

    @classmethod
    def _get_origins(cls):
        return ['customer.file', 'customer.credit.investigation']

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('late', False), 'danger', '')),
            ]

    def get_rec_name(self, name):
        kind = get_selection_name(self, 'kind')
        return f'{self.party.rec_name} – {kind}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]

    @property
    def notification_name(self):
        return self.rec_name

    @classmethod
    def table_query(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        File = pool.get('customer.file')
        Manager = pool.get('customer.file.manager')
        today = Date.today()
        kinds = [k for k, _ in cls.kind.selection]
        parts = []
        for i, kind in enumerate(kinds):
            part = getattr(cls, f'_due_{kind}')()
            if not part:
                continue
            parts.append(part.select(
                    (part.id * len(kinds) + i).as_('id'),
                    cls.kind.sql_cast(Literal(kind)).as_('kind'),
                    part.company.as_('company'),
                    part.party.as_('party'),
                    cls.due_date.sql_cast(part.due_date).as_('due_date'),
                    cls.employee.sql_cast(part.employee).as_('employee'),
                    part.origin.as_('origin')))
        union = Union(*parts, all_=True)
        file = File.__table__()
        manager = Manager.main()
        return union.join(
            file, 'LEFT', condition=(file.company == union.company)
            & (file.party == union.party)
            ).join(
                manager, 'LEFT', condition=manager.file == file.id
            ).select(
                union.id.as_('id'),
                union.kind.as_('kind'),
                union.company.as_('company'),
                union.party.as_('party'),
                file.id.as_('file'),
                union.due_date.as_('due_date'),
                Coalesce(union.employee, manager.employee).as_('employee'),
                union.origin.as_('origin'),
                Case((union.due_date < today, True), else_=False).as_('late'),
                where=union.due_date <= today + _AHEAD)

    @classmethod
    def _origin(cls, model, column):
        "Return the expression of the reference to the record of the model"
        return Concat(f'{model},', cls.origin.sql_cast(column))

    @classmethod
    def _due_verification(cls):
        "Files that have not been verified for as long as the company allows"
        pool = Pool()
        File = pool.get('customer.file')
        file = File.__table__()
        return file.select(
            file.id.as_('id'),
            file.company.as_('company'),
            file.party.as_('party'),
            file.next_verification.as_('due_date'),
            Literal(None).as_('employee'),
            cls._origin('customer.file', file.id).as_('origin'),
            where=(file.next_verification != Null)
            & file.state.in_(['investigated', 'approved']))

    @classmethod
    def _due_investigation(cls):
        "Last investigations of customers with approved file that expire"
        pool = Pool()
        File = pool.get('customer.file')
        Investigation = pool.get('customer.credit.investigation')
        file = File.__table__()
        investigation = Investigation.__table__()
        return investigation.join(
            file, condition=investigation.file == file.id
            ).select(
                investigation.id.as_('id'),
                file.company.as_('company'),
                file.party.as_('party'),
                investigation.valid_until.as_('due_date'),
                Literal(None).as_('employee'),
                cls._origin(
                    'customer.credit.investigation', investigation.id
                    ).as_('origin'),
                where=(investigation.state == 'done')
                & (investigation.superseded_by == Null)
                & file.state.in_(['investigated', 'approved']))

    @classmethod
    def _due_manager(cls):
        "Files of key customers that nobody manages"
        pool = Pool()
        Date = pool.get('ir.date')
        File = pool.get('customer.file')
        Manager = pool.get('customer.file.manager')
        file = File.__table__()
        manager = Manager.__table__()
        return file.select(
            file.id.as_('id'),
            file.company.as_('company'),
            file.party.as_('party'),
            Literal(Date.today()).as_('due_date'),
            Literal(None).as_('employee'),
            cls._origin('customer.file', file.id).as_('origin'),
            where=(file.kind == 'key')
            & file.state.in_(['investigated', 'approved'])
            & ~Exists(manager.select(
                    Literal(1),
                    where=(manager.file == file.id)
                    & Manager.is_current(manager))))

    @classmethod
    def get_file_access(cls, records, names):
        return get_file_access(records, names)

    @classmethod
    def search_file_access(cls, name, clause):
        return [(f'file.{name[len("file_"):]}', *clause[1:])]

    @classmethod
    def _user_employees(cls):
        "Return the query of the employees of the user"
        pool = Pool()
        UserEmployee = pool.get('res.user-company.employee')
        user = get_user()
        relation = UserEmployee.__table__()
        return relation.select(relation.employee, where=relation.user == user)

    @classmethod
    def get_mine(cls, records, name):
        cursor = Transaction().connection.cursor()
        cursor.execute(*cls._user_employees())
        employees = {id_ for id_, in cursor}
        return {
            r.id: bool(r.employee) and r.employee.id in employees
            for r in records}

    @classmethod
    def search_mine(cls, name, clause):
        _, operator, value = clause
        query = cls._user_employees()
        if (operator == '=' and value) or (operator == '!=' and not value):
            return [('employee', 'in', query)]
        return ['OR',
            ('employee', '=', None),
            ('employee', 'not in', query),
            ]

    @classmethod
    @per_company
    def remind(cls, company):
        "Notify who is responsible of what is due, of each once a day"
        pool = Pool()
        Date = pool.get('ir.date')
        Notice = pool.get('customer.due.notice')
        today = Date.today()
        dues = cls.search([
                ('company', '=', company.id),
                ('due_date', '<=', today),
                ('employee', '!=', None),
                ])
        Notice.delete(Notice.search([
                    ('employee.company', '=', company.id),
                    ('date', '<', today),
                    ]))
        told = {
            (n.key, n.employee.id) for n in Notice.search([
                    ('employee.company', '=', company.id),
                    ])}
        dues = [d for d in dues if (d._key, d.employee.id) not in told]
        if not dues:
            return
        employees = defaultdict(list)
        for due in dues:
            employees[due.employee].append(due)
        cls._notify(employees)
        Notice.create([{
                    'key': d._key,
                    'employee': d.employee.id,
                    'date': today,
                    } for d in dues])

    @property
    def _key(self):
        return f'{self.kind}:{self.origin}'

    @classmethod
    def _notify(cls, employees):
        by_user = defaultdict(dict)
        for employee, users in get_users(employees).items():
            for user in users:
                by_user[user].update(dict.fromkeys(employees[employee]))
        # Their names are in the language of the user
        notify(
            by_user, 'tryton-warning',
            'customer_grading.msg_notification_due',
            lambda r: cls(r.id).notification_name)


class DueNotice(ModelSQL):
    "Of what somebody has been notified today"
    __name__ = 'customer.due.notice'

    key = fields.Char("Key", required=True)
    employee = fields.Many2One(
        'company.employee', "Employee", required=True, ondelete='CASCADE')
    date = fields.Date("Date", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints.append(
            ('key_employee_unique', Unique(t, t.key, t.employee),
                'customer_grading.msg_due_notice_unique'))
        cls._sql_indexes.add(Index(t, (t.employee, Index.Equality())))


class OpenDue(Wizard):
    "Open the record in which something is due"
    __name__ = 'customer.due.open'
    start_state = 'open_'
    open_ = StateAction('customer_grading.act_file_form')

    def do_open_(self, action):
        origin = self.record.origin
        action['res_model'] = origin.__name__
        action['name'] = self.record.rec_name
        action['domains'] = []
        action['views'] = [(None, 'form')]
        action['pyson_domain'] = PYSONEncoder().encode(
            [('id', '=', origin.id)])
        return action, {'res_id': [origin.id]}
