# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
from collections import defaultdict

from sql import Null

from trytond.cache import Cache
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.company_department.tools import group_by_company
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import (
    Transaction, inactive_records, without_check_access)

from . import snapshot as snapshots
from .exceptions import AcknowledgementError
from .review import (
    EvidenceMixin, _check_present, _format_employees, _get_employee,
    _recording)
from .sale import _format, _format_line

asked_by = [
    (None, ""),
    ('customer', "Customer"),
    ('company', "Company"),
    ]

# The field of the departments by that of the configuration
_DEPARTMENTS = {
    'review_executing_departments': 'executes_orders',
    'review_preparing_departments': 'prepares_orders',
    }


class Change(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.change'
    _rec_name = 'field'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True, ondelete='RESTRICT')
    revision = fields.Integer(
        "Revision", readonly=True,
        help="The revision of the order that the change made.")
    line = fields.Many2One(
        'sale.line', "Line", readonly=True, ondelete='SET NULL',
        help="Empty if the change is not on a line or if it was deleted.")
    line_name = fields.Char("Line Name", readonly=True)
    field = fields.Char(
        "Field", readonly=True,
        help="Empty if the whole line was added or removed.")
    old = fields.Text("Old", readonly=True)
    new = fields.Text("New", readonly=True)
    reason = fields.Text("Reason", readonly=True)
    asked_by = fields.Selection(
        asked_by, "Asked By", readonly=True, sort=False)
    origin = fields.Reference(
        "Origin", 'get_origins', required=True, readonly=True,
        help="The round of review, or the amendment, that made the change, "
        "or the order if it was confirmed without another round.")
    at = fields.DateTime("At", required=True, readonly=True)
    by = fields.Many2One(
        'company.employee', "By", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [
            ('at', 'DESC'),
            ('id', 'ASC'),
            ]
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.sale, Index.Equality()),
                    (t.at, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='ASC'))),
                Index(
                    t,
                    (t.at, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='ASC'))),
                Index(t, (t.line, Index.Equality())),
                Index(t, (t.origin, Index.Equality())),
                })

    @classmethod
    def get_origins(cls):
        pool = Pool()
        Model = pool.get('ir.model')
        Rule = pool.get('sale.review.rule')
        return [
            ('sale.review', Model.get_name('sale.review')),
            *Rule.get_subjects(),
            ]

    def get_rec_name(self, name):
        # On one line
        return ' '.join(self.get_text(
                self.line_name, self.field, self.old, self.new).split())

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, operand, *extra = clause
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        else:
            bool_op = 'OR'
        return [bool_op,
            ('line_name', operator, operand, *extra),
            ('field', operator, operand, *extra),
            ('old', operator, operand, *extra),
            ('new', operator, operand, *extra),
            ]

    @classmethod
    def check_modification(cls, mode, changes, values=None, external=False):
        if mode == 'write' and not external and values == {'line': None}:
            # The line of a draft is deleted, its name remains
            with _recording():
                super().check_modification(
                    mode, changes, values=values, external=external)
        else:
            super().check_modification(
                mode, changes, values=values, external=external)

    @classmethod
    def get_text(cls, line_name, field, old, new):
        "Return the text of the change"
        if field:
            text = gettext('sale_order_review.msg_change_field',
                field=field, old=old, new=new)
        elif new is not None:
            text = gettext('sale_order_review.msg_change_added', new=new)
        else:
            text = gettext('sale_order_review.msg_change_removed', old=old)
        if line_name:
            text = gettext('sale_order_review.msg_change_line',
                line=line_name, change=text)
        return text

    @classmethod
    def get_values(cls, old, new, names=None):
        """Return the list of values of the changes between two snapshots

        names are those of the records as get_names returns them, by default
        as they are now."""
        differences = cls._get_differences(old, new)
        if names is None:
            names = cls._get_names(differences)
        return cls._get_values(differences, names)

    @classmethod
    def get_content(cls, snapshot):
        "Return the differences between the snapshot and nothing"
        nothing = {
            m: {i: {} for i, v in vs.items() if isinstance(v, dict)}
            for m, vs in snapshot.items()}
        return cls._get_differences(nothing, snapshot)

    @classmethod
    def get_names(cls, contents):
        """Return the list of the names of the records of the contents by model
        and id

        The contents are lists of snapshots."""
        contents = [
            cls._get_ids(d for s in snapshots_ for d in cls.get_content(s))
            for snapshots_ in contents]
        ids = defaultdict(set)
        for content in contents:
            for Target, target_ids in content.items():
                ids[Target] |= target_ids
        names = cls._read_names(ids)
        return [{
                T.__name__: {
                    i: n for i, n in names[T.__name__].items() if i in ids}
                for T, ids in content.items()}
            for content in contents]

    @classmethod
    def _get_differences(cls, old, new):
        pool = Pool()
        differences = []
        for model, id_, name, before, after in snapshots.differences(old, new):
            line = None
            if id_ is not None:
                line = (
                    new.get(model, {}).get(str(id_))
                    or old.get(model, {}).get(str(id_)))
            differences.append(
                (pool.get(model), id_, line, name, before, after))
        return differences

    @classmethod
    def _get_values(cls, differences, names):
        labels, changes = {}, []
        for Model, id_, line, name, before, after in differences:
            if name:
                if (Model, name) not in labels:
                    # What __names__ searches is not cached
                    with without_check_access():
                        labels[Model, name] = Model.fields_get(
                            [name])[name]['string']
                values = {
                    'field': labels[Model, name],
                    'old': cls._format(names, Model, name, before),
                    'new': cls._format(names, Model, name, after),
                    }
            else:
                values = {
                    'field': None,
                    'old': cls._format_content(names, Model, before),
                    'new': cls._format_content(names, Model, after),
                    }
            if line:
                values['line'] = id_
                values['line_name'] = (
                    cls._format(names, Model, 'product', line['product'])
                    if line.get('product') else _format_line(Model, line))
            changes.append(values)
        return changes

    @classmethod
    def _get_names(cls, differences):
        "Return the names of the records of the differences by model and id"
        return cls._read_names(cls._get_ids(differences))

    @classmethod
    def _get_ids(cls, differences):
        ids = defaultdict(set)
        for Model, _, line, name, before, after in differences:
            values = [(name, before), (name, after)] if name else []
            if line:
                # The unit is told with all that the line is
                values += [
                    (n, line.get(n))
                    for n in (['product'] if name else ['product', 'unit'])
                    if n in Model._fields]
            for name, value in values:
                field = Model._fields[name]
                if field._type in {'many2one', 'many2many'} and value:
                    ids[field.get_target()].update(
                        value if isinstance(value, list) else [value])
        return ids

    @classmethod
    def _read_names(cls, ids):
        with inactive_records():
            return {
                Target.__name__: {
                    r.id: r.rec_name
                    for r in Target.search([('id', 'in', list(target_ids))])}
                for Target, target_ids in ids.items()}

    @classmethod
    def _format(cls, names, Model, name, value):
        "Return the text of the value with the names of the records"
        field = Model._fields[name]
        if field._type in {'many2one', 'many2many'} and value:
            names = names[field.get_target().__name__]
            ids = value if isinstance(value, list) else [value]
            return ', '.join(names.get(i, str(i)) for i in ids)
        return _format(Model, name, value)

    @classmethod
    def _format_content(cls, names, Model, values):
        "Return the text of how much of what the line is"
        if values is None:
            return None
        if values.get('type') != 'line':
            return values.get('description') or ''
        quantity, unit, unit_price = (
            cls._format(names, Model, n, values.get(n))
            for n in ['quantity', 'unit', 'unit_price'])
        return gettext('sale_order_review.msg_change_content',
            quantity=quantity, unit=unit, unit_price=unit_price)

    @classmethod
    def get_texts(cls, old, new):
        "Return the list of texts of the changes between two snapshots"
        return [
            cls.get_text(
                v.get('line_name'), v['field'], v['old'], v['new'])
            for v in cls.get_values(old, new)]

    @classmethod
    def record(cls, changed):
        """Log what differs between snapshots of sales

        changed are tuples of the sale, its snapshots before and after, the
        origin of the changes and the dictionary of the values they have."""
        pool = Pool()
        Line = pool.get('sale.line')
        differences = [
            cls._get_differences(old, new) for _, old, new, *_ in changed]
        names = cls._get_names([d for ds in differences for d in ds])
        now = dt.datetime.now()
        employees, to_create = {}, []
        for (sale, _, new, origin, values), s_differences in zip(
                changed, differences):
            lines = {int(i) for i in new.get(Line.__name__, {})}
            company = sale.company
            if company not in employees:
                employees[company] = _get_employee(company)
            employee = employees[company]
            for change in cls._get_values(s_differences, names):
                # Those that an amendment would add are not there yet
                if change.get('line') not in lines or change['line'] < 0:
                    change['line'] = None
                to_create.append({
                        'company': company.id,
                        'sale': sale.id,
                        'revision': getattr(sale, 'revision', None),
                        'origin': str(origin),
                        'at': now,
                        'by': employee.id if employee else None,
                        **values,
                        **change,
                        })
        with _recording():
            return cls.create(to_create)

    @classmethod
    def record_rounds(cls, reviews):
        "Log what the rounds of review changed since the previous ones"
        cls.record([(
                    r.sale, json.loads(r.previous.snapshot),
                    json.loads(r.snapshot), r,
                    r.origin.get_review_change(r.previous.opinions))
                for r in reviews])

    @classmethod
    def record_unreviewed(cls, sales):
        """Log what changed since their last round of the sales that need no
        other one any more"""
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        reviews = Review.get_current(sales)
        cls.record([(
                    sale, json.loads(reviews[sale].snapshot), content, sale,
                    sale.get_review_change(reviews[sale].opinions))
                for sale, content in Sale.get_review_snapshots(
                    list(reviews)).items()])


class Acknowledgement(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.change.acknowledgement'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True, ondelete='RESTRICT')
    party = fields.Function(
        fields.Many2One(
            'party.party', "Party",
            context={
                'company': Eval('company', -1),
                },
            depends={'company'}),
        'on_change_with_party', searcher='search_party')
    origin = fields.Reference(
        "Origin", 'get_origins', required=True, readonly=True,
        help="The confirmed order or its amendment.")
    changes = fields.Function(
        fields.Text(
            "Changes",
            states={
                'invisible': ~Eval('changes'),
                }),
        'get_changes')
    department = fields.Many2One(
        'company.department', "Department", required=True, readonly=True,
        ondelete='RESTRICT')
    requested_at = fields.DateTime(
        "Requested At", required=True, readonly=True)
    employee = fields.Many2One(
        'company.employee', "Acknowledged By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('at'),
            })
    on_behalf_of = fields.Many2One(
        'company.employee', "On Behalf Of", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('on_behalf_of'),
            })
    at = fields.DateTime(
        "Acknowledged At", readonly=True,
        states={
            'invisible': ~Eval('at'),
            })
    mine = fields.Function(
        fields.Boolean("Mine"), 'get_mine', searcher='search_mine')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [
            ('requested_at', 'DESC'),
            ('id', 'ASC'),
            ]
        cls._sql_indexes.update({
                Index(
                    t,
                    (t.sale, Index.Equality()),
                    (t.requested_at, Index.Range(order='DESC'))),
                Index(
                    t,
                    (t.department, Index.Equality()),
                    where=t.at == Null),
                Index(t, (t.origin, Index.Equality())),
                Index(
                    t,
                    (t.requested_at, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='ASC'))),
                })
        cls._buttons.update({
                'acknowledge': {
                    'invisible': Bool(Eval('at')),
                    'icon': 'tryton-ok',
                    'depends': ['at'],
                    },
                })

    @classmethod
    def get_origins(cls):
        pool = Pool()
        Rule = pool.get('sale.review.rule')
        return Rule.get_subjects()

    @fields.depends('sale', '_parent_sale.party')
    def on_change_with_party(self, name=None):
        return self.sale.party if self.sale else None

    @classmethod
    def search_party(cls, name, clause):
        return [('sale.' + clause[0], *clause[1:])]

    @classmethod
    @without_check_access
    def get_changes(cls, acknowledgements, name):
        pool = Pool()
        Change = pool.get('sale.change')
        texts = defaultdict(list)
        for change in Change.search([
                    ('origin', 'in', list({
                                str(a.origin) for a in acknowledgements})),
                    ]):
            texts[str(change.origin)].append(change.rec_name)
        return {
            a.id: '\n'.join(texts[str(a.origin)]) for a in acknowledgements}

    @classmethod
    def get_mine(cls, acknowledgements, name):
        pool = Pool()
        Department = pool.get('company.department')
        mine = set(Department._user_departments())
        return {a.id: a.department.id in mine for a in acknowledgements}

    @classmethod
    def search_mine(cls, name, clause):
        pool = Pool()
        Department = pool.get('company.department')
        _, operator, value = clause
        if (operator == '=' and value) or (operator == '!=' and not value):
            operator = 'in'
        else:
            operator = 'not in'
        return [('department', operator, Department._user_departments())]

    def get_rec_name(self, name):
        return f'{self.sale.rec_name} – {self.department.rec_name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, operand, *extra = clause
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        else:
            bool_op = 'OR'
        return [bool_op,
            ('sale.rec_name', operator, operand, *extra),
            ('department.rec_name', operator, operand, *extra),
            ]

    @property
    def notification_name(self):
        "The name of the acknowledgement in notifications"
        return f'{self.sale.rec_name} – {self.sale.party.rec_name}'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(~Eval('at'), 'warning', '')),
            ]

    @classmethod
    def request(cls, records, message_id):
        """Ask the executing departments to acknowledge the records, which are
        sales or what changes them, and notify their persons"""
        pool = Pool()
        Date = pool.get('ir.date')
        Department = pool.get('company.department')
        Review = pool.get('sale.review')
        now = dt.datetime.now()
        for company, c_records in group_by_company(records):
            departments = Department.get_with_duty(company, 'executes_orders')
            if not departments:
                continue
            acknowledgements = cls.search([
                    ('origin', 'in', [str(r) for r in c_records]),
                    ('department', 'in', [d.id for d in departments]),
                    ('at', '=', None),
                    ])
            requested = {
                (str(a.origin), a.department) for a in acknowledgements}
            with _recording():
                acknowledgements += cls.create([{
                            'company': company.id,
                            'sale': record.review_sale.id,
                            'origin': str(record),
                            'department': department.id,
                            'requested_at': now,
                            }
                        for record in c_records
                        for department in departments
                        if (str(record), department) not in requested])
            with Transaction().set_context(company=company.id):
                today = Date.today()
            signatories = Department.get_signatories(departments, today)
            employees = defaultdict(list)
            for acknowledgement in acknowledgements:
                for employee in signatories[acknowledgement.department.id]:
                    employees[employee].append(acknowledgement)
            Review.notify_employees(employees, 'tryton-warning', message_id)

    @classmethod
    @ModelView.button
    def acknowledge(cls, acknowledgements):
        pool = Pool()
        Date = pool.get('ir.date')
        Department = pool.get('company.department')
        _check_present()
        now = dt.datetime.now()
        problems, to_write = [], []
        for company, c_acknowledgements in group_by_company(acknowledgements):
            employee = _get_employee(company)
            with Transaction().set_context(company=company.id):
                today = Date.today()
            signatories = Department.get_signatories(
                {a.department for a in c_acknowledgements}, today)
            for acknowledgement in c_acknowledgements:
                persons = signatories[acknowledgement.department.id]
                if problem := acknowledgement._get_problem(employee, persons):
                    problems.append(problem)
                    continue
                principal = employee
                if employee not in persons[employee]:
                    principal, *_ = sorted(
                        persons[employee], key=lambda e: e.rec_name)
                to_write += [[acknowledgement], {
                        'employee': employee.id,
                        'on_behalf_of': (
                            principal.id if principal != employee else None),
                        'at': now,
                        }]
        if problems:
            raise AcknowledgementError('\n'.join(problems))
        if to_write:
            with _recording():
                cls.write(*to_write)

    def _get_problem(self, employee, persons):
        "Return the text of why the employee cannot acknowledge"
        if self.at:
            return gettext('sale_order_review.msg_acknowledge_twice',
                acknowledgement=self.rec_name,
                employee=self.employee.rec_name)
        elif not employee:
            return gettext('sale_order_review.msg_acknowledge_employee',
                acknowledgement=self.rec_name,
                company=self.company.rec_name)
        elif employee not in persons:
            return gettext('sale_order_review.msg_acknowledge_person',
                acknowledgement=self.rec_name,
                employee=employee.rec_name,
                department=self.department.rec_name,
                persons=_format_employees(persons))


class Department(metaclass=PoolMeta):
    __name__ = 'company.department'

    executes_orders = fields.Boolean(
        "Executes Orders",
        help="Check to have the department acknowledge the reviewed orders "
        "that are confirmed and their changes.")
    prepares_orders = fields.Boolean(
        "Prepares Orders",
        help="Check to tell the department of each new order and what it "
        "takes from stock.")

    _with_duty_cache = Cache('company.department.with_duty', context=False)

    @classmethod
    def clear_cache(cls):
        super().clear_cache()
        cls._with_duty_cache.clear()

    @classmethod
    def get_with_duty(cls, company, duty):
        """Return the departments of the company that have the duty, which is
        the name of the field"""
        key = (company.id, duty)
        departments = cls._with_duty_cache.get(key)
        if departments is None:
            departments = tuple(d.id for d in cls.search([
                        ('company', '=', company.id),
                        (duty, '=', True),
                        ]))
            cls._with_duty_cache.set(key, departments)
        return cls.browse(departments)


class Configuration(metaclass=PoolMeta):
    __name__ = 'sale.configuration'

    review_executing_departments = fields.Function(
        fields.Many2Many(
            'company.department', None, None, "Executing Departments",
            domain=[
                ('company', '=', Eval('context', {}).get('company', -1)),
                ],
            help="The departments that acknowledge the reviewed orders that "
            "are confirmed and their changes."),
        'get_review_departments', setter='set_review_departments')
    review_preparing_departments = fields.Function(
        fields.Many2Many(
            'company.department', None, None, "Preparing Departments",
            domain=[
                ('company', '=', Eval('context', {}).get('company', -1)),
                ],
            help="The departments that are told of each new order and what it "
            "takes from stock."),
        'get_review_departments', setter='set_review_departments')

    @classmethod
    def _review_departments(cls, *domain):
        pool = Pool()
        Department = pool.get('company.department')
        return Department.search([
                ('company', '=', Transaction().context.get('company')),
                *domain,
                ])

    def get_review_departments(self, name):
        return [
            d.id for d in self._review_departments(
                (_DEPARTMENTS[name], '=', True))]

    @classmethod
    def set_review_departments(cls, configurations, name, value):
        "Set them for the company of the context, whatever is sent of others"
        pool = Pool()
        Department = pool.get('company.department')
        for action, *args in value or []:
            if action in {'add', 'remove'}:
                # With the access of the user, who chooses the context
                departments = cls._review_departments(('id', 'in', args[0]))
                with without_check_access():
                    Department.write(
                        departments, {_DEPARTMENTS[name]: action == 'add'})


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    # As a function to not read the whole log to open the order
    changes = fields.Function(
        fields.Many2Many(
            'sale.change', None, None, "Changes", readonly=True,
            states={
                'invisible': ~Eval('changes'),
                }),
        'get_changes')
    acknowledgements = fields.One2Many(
        'sale.change.acknowledgement', 'sale', "Acknowledgements",
        readonly=True,
        states={
            'invisible': ~Eval('acknowledgements'),
            })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//page[@id="changes"]', 'states', {
                    'invisible': (
                        ~Eval('changes') & ~Eval('acknowledgements')),
                    }, ['changes', 'acknowledgements']),
            ]

    @classmethod
    def copy(cls, sales, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('acknowledgements')
        return super().copy(sales, default=default)

    @classmethod
    def get_changes(cls, sales, name):
        pool = Pool()
        Change = pool.get('sale.change')
        cursor = Transaction().connection.cursor()
        table = Change.__table__()
        changes = {s.id: [] for s in sales}
        cursor.execute(*table.select(
                table.sale, table.id,
                where=fields.SQL_OPERATORS['in'](table.sale, list(changes)),
                order_by=[table.sale, table.at.desc, table.id]))
        for sale, change in cursor:
            changes[sale].append(change)
        return changes

    @property
    def review_sale(self):
        "The sale that is reviewed, as of all that can be reviewed"
        return self

    def get_review_change(self, opinions):
        """Return the values of the log for the changes since a round that was
        returned with the opinions"""
        return {
            'reason': '\n'.join(filter(None, opinions)),
            'asked_by': 'company' if opinions else None,
            }

    @classmethod
    def _review_confirmed(cls, sales):
        pool = Pool()
        Acknowledgement = pool.get('sale.change.acknowledgement')
        super()._review_confirmed(sales)
        Acknowledgement.request(
            [s for s in cls.browse(sales) if s.state != 'quotation'],
            'sale_order_review.msg_notification_confirmed')

    @classmethod
    def _traced_confirmed(cls, sales, unreviewed):
        pool = Pool()
        Change = pool.get('sale.change')
        super()._traced_confirmed(sales, unreviewed)
        Change.record_unreviewed(cls.browse(unreviewed))
