# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from sql import Null
from sql.aggregate import Count, Min

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction, without_check_access

from .exceptions import EntryErrorWithdrawError
from .review import EvidenceMixin, _get_employee, _get_employees, _recording


class EntryError(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'sale.entry.error'

    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, ondelete='RESTRICT',
        domain=[
            If(Eval('id', -1) < 0,
                ('state', '!=', 'draft'),
                ()),
            ],
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    kind = fields.Selection([
            ('customer', "Customer"),
            ('product', "Product"),
            ('quantity', "Quantity"),
            ('price', "Price"),
            ('date', "Date"),
            ('terms', "Terms"),
            ('other', "Other"),
            ], "Kind", required=True, sort=False,
        states={
            'readonly': Eval('id', -1) >= 0,
            },
        help="What was entered wrong.")
    description = fields.Text(
        "Description", required=True,
        states={
            'readonly': Eval('id', -1) >= 0,
            },
        help="What was wrong, and what is right.")
    entered_by = fields.Many2One(
        'res.user', "Entered By", readonly=True, ondelete='RESTRICT',
        help="The user who entered the order, or the amendment.")
    found_by = fields.Many2One(
        'company.employee', "Found By", required=True, readonly=True,
        ondelete='RESTRICT')
    found_at = fields.DateTime("Found At", required=True, readonly=True)
    decision = fields.Many2One(
        'sale.review.decision', "Decision", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('decision'),
            },
        help="The decision by which the order was returned for it.")
    note = fields.Text(
        "Note",
        states={
            'readonly': Bool(Eval('withdrawn_at')),
            'invisible': Eval('id', -1) < 0,
            },
        help="Why it was not an error.")
    withdrawn_by = fields.Many2One(
        'company.employee', "Withdrawn By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('withdrawn_at'),
            })
    withdrawn_at = fields.DateTime(
        "Withdrawn At", readonly=True,
        states={
            'invisible': ~Eval('withdrawn_at'),
            },
        help="If it was not an error it does not count.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.sale, Index.Equality())),
                Index(
                    t,
                    (t.company, Index.Equality(cardinality='low')),
                    (t.entered_by, Index.Equality()),
                    where=t.withdrawn_at == Null),
                })
        cls._order = [('id', 'DESC')]
        cls._buttons.update({
                'withdraw': {
                    'invisible': Bool(Eval('withdrawn_at')),
                    'icon': 'tryton-cancel',
                    'depends': ['withdrawn_at'],
                    },
                })

    def get_rec_name(self, name):
        kind = self.__names__('kind', self)['value']
        return f'{self.sale.rec_name} – {kind}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('sale.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('withdrawn_at')), 'muted', '')),
            ]

    @classmethod
    def preprocess_values(cls, mode, values):
        pool = Pool()
        Sale = pool.get('sale.sale')
        values = super().preprocess_values(mode, values)
        if (mode == 'create' and values.get('sale')
                and not Transaction().context.get('_sale_review')):
            with without_check_access():
                sale = Sale(values['sale'])
                employee = _get_employee(sale.company)
                if not employee:
                    # Without names, as the user may not read the sale
                    raise AccessError(gettext(
                            'sale_order_review.msg_entry_error_create'))
                values = {
                    **values,
                    'company': sale.company.id,
                    'entered_by': sale.create_uid.id,
                    'found_by': employee.id,
                    'found_at': dt.datetime.now(),
                    'decision': None,
                    'note': None,
                    'withdrawn_by': None,
                    'withdrawn_at': None,
                    }
        return values

    @classmethod
    def check_modification(cls, mode, errors, values=None, external=False):
        if cls._can_modify(mode, errors, values):
            with _recording():
                super().check_modification(
                    mode, errors, values=values, external=external)
        else:
            super().check_modification(
                mode, errors, values=values, external=external)

    @classmethod
    def _can_modify(cls, mode, errors, values):
        """Return whether it is not what is recorded that is modified

        Who finds an error records it, and notes why it was none."""
        if mode == 'create':
            for error in errors:
                # The error that returns an order is recorded before
                if error.sale.state == 'draft':
                    raise AccessError(gettext(
                            'sale_order_review.msg_entry_error_draft',
                            sale=error.sale.rec_name))
            return True
        if mode != 'write' or values.keys() != {'note'}:
            return False
        for error in errors:
            if error.entered_by and error.entered_by.id == Transaction().user:
                raise AccessError(gettext(
                        'sale_order_review.msg_entry_error_own',
                        error=error.rec_name))
        return (
            not any(e.withdrawn_at for e in errors)
            and all(_get_employees({e.company for e in errors}).values()))

    @classmethod
    @without_check_access
    def record(cls, decisions):
        "Record what the decisions returned because of an error of entry"
        reviews = {}
        for decision in decisions:
            reviews.setdefault(decision.signoff.review, decision)
        with _recording():
            return cls.create([{
                        'sale': review.sale.id,
                        'company': review.company.id,
                        'kind': 'other',
                        'description': decision.opinion,
                        'entered_by': (
                            review.entered_by.id if review.entered_by
                            else None),
                        'found_by': decision.employee.id,
                        'found_at': decision.decided_at,
                        'decision': decision.id,
                        } for review, decision in reviews.items()])

    @classmethod
    @ModelView.button
    def withdraw(cls, errors):
        "Do not count any more what was not an error"
        pool = Pool()
        User = pool.get('res.user')
        to_write = {}
        employees = _get_employees({e.company for e in errors})
        for error in errors:
            employee = employees[error.company]
            message = None
            if error.withdrawn_at:
                message = 'msg_entry_error_withdrawn'
            elif not employee:
                message = 'msg_entry_error_employee'
            elif User(Transaction().user) == error.entered_by:
                message = 'msg_entry_error_own'
            elif not (error.note or '').strip():
                message = 'msg_entry_error_note'
            if message:
                raise EntryErrorWithdrawError(gettext(
                        f'sale_order_review.{message}',
                        error=error.rec_name,
                        sale=error.sale.rec_name,
                        company=error.company.rec_name))
            to_write.setdefault(employee, []).append(error)
        now = dt.datetime.now()
        with _recording():
            for employee, errors in to_write.items():
                cls.write(errors, {
                        'withdrawn_by': employee.id,
                        'withdrawn_at': now,
                        })


class EntryErrorUser(ModelSQL, ModelView):
    __name__ = 'sale.entry.error.user'

    company = fields.Many2One('company.company', "Company")
    user = fields.Many2One('res.user', "Entered By")
    errors = fields.Integer(
        "Errors", help="The number of errors of entry that were found.")
    sales = fields.Integer(
        "Orders with Errors",
        help="The number of orders in which errors were found.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('errors', 'DESC'), ('id', 'ASC')]

    @classmethod
    def table_query(cls):
        pool = Pool()
        EntryError = pool.get('sale.entry.error')
        error = EntryError.__table__()
        return error.select(
            Min(error.id).as_('id'),
            error.company.as_('company'),
            error.entered_by.as_('user'),
            Count(error.id).as_('errors'),
            Count(error.sale, distinct=True).as_('sales'),
            where=error.withdrawn_at == Null,
            group_by=[error.company, error.entered_by])

    def get_rec_name(self, name):
        return self.user.rec_name if self.user else ''


class Signoff(metaclass=PoolMeta):
    __name__ = 'sale.review.signoff'

    @classmethod
    def _decided(cls, signoffs, decision):
        pool = Pool()
        EntryError = pool.get('sale.entry.error')
        super()._decided(signoffs, decision)
        if decision == 'return':
            EntryError.record([
                    d for s in cls.browse(signoffs) for d in s.decisions
                    if d.cause == 'error'])


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    entry_errors = fields.Function(
        fields.Integer(
            "Errors of Entry",
            states={
                'invisible': ~Eval('entry_errors'),
                },
            help="The number of errors of entry that were found."),
        'get_entry_errors', searcher='search_entry_errors')

    @classmethod
    def get_entry_errors(cls, sales, name):
        pool = Pool()
        EntryError = pool.get('sale.entry.error')
        cursor = Transaction().connection.cursor()
        error = EntryError.__table__()
        numbers = dict.fromkeys([s.id for s in sales], 0)
        cursor.execute(*error.select(
                error.sale, Count(error.id),
                where=fields.SQL_OPERATORS['in'](error.sale, list(numbers))
                & (error.withdrawn_at == Null),
                group_by=error.sale))
        numbers.update(cursor)
        return numbers

    @classmethod
    def search_entry_errors(cls, name, clause):
        pool = Pool()
        EntryError = pool.get('sale.entry.error')
        _, operator, value = clause
        Operator = fields.SQL_OPERATORS[operator]
        error = EntryError.__table__()
        sale = cls.__table__()
        number = Count(error.id)
        return [('id', 'in', sale.join(error, 'LEFT',
                    condition=(error.sale == sale.id)
                    & (error.withdrawn_at == Null)
                    ).select(
                    sale.id, group_by=sale.id,
                    having=Operator(number, value)))]
