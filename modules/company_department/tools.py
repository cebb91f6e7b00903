# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"What the modules have in common"
from collections import defaultdict
from functools import wraps
from operator import attrgetter

from trytond.i18n import gettext
from trytond.pool import Pool
from trytond.transaction import Transaction, without_check_access


def get_user():
    "Return the id of the user who acts, or for whom the server acts as root"
    transaction = Transaction()
    # Clients may send any user in their context
    return transaction.user or transaction.context.get('user') or 0


def get_employee(company, current=False):
    """Return the employee of the user in the company, the current one if it
    is there

    Only the current one if it must be."""
    pool = Pool()
    Employee = pool.get('company.employee')
    User = pool.get('res.user')
    UserEmployee = pool.get('res.user-company.employee')
    with without_check_access():
        user = User(get_user())
        employees = [
            e for e in Employee.browse(UserEmployee.get_ids(user.id))
            if e.company == company]
        id_ = Transaction().context.get(
            'employee', user.employee.id if user.employee else None)
        for employee in employees:
            if employee.id == id_:
                return employee
        if employees and not current:
            return (
                user.employee if user.employee in employees
                else employees[0])


def get_employees(records):
    "Return by company of the records the employee of the user in it"
    return {c: get_employee(c) for c in {r.company for r in records}}


def get_users(employees):
    "Return by employee the set of its active users"
    pool = Pool()
    UserEmployee = pool.get('res.user-company.employee')
    users = defaultdict(set)
    for relation in UserEmployee.search([
                ('employee', 'in', [e.id for e in employees]),
                ('user.active', '=', True),
                ]) if employees else []:
        users[relation.employee].add(relation.user)
    return users


def notify(
        by_user, icon, message_id, describe=None, description=None,
        **variables):
    """Notify each user once, in its language, of its records

    by_user is a dictionary of records by user. The label is the message with
    their number, and describe returns what is told of each of the first,
    unless there is a description."""
    for user, records in by_user.items():
        records = list(records)
        language = user.language.code if user.language else None
        with Transaction().set_context(language=language):
            label = gettext(
                message_id, **{'number': len(records), **variables})
            text = description
            if describe and not text:
                text = ', '.join(map(describe, records[:5]))
        records[0].__class__.notify_user(
            records, icon, label, text, user=user)


def group_by_company(records, key=attrgetter('company')):
    "Return the couples of company and list of its records"
    by_company = defaultdict(list)
    for record in records:
        by_company[key(record)].append(record)
    return by_company.items()


def per_company(func):
    """Decorate a scheduled task that is done for a company: that of the
    context, or each if it has none"""
    @wraps(func)
    def wrapper(cls):
        pool = Pool()
        Company = pool.get('company.company')
        transaction = Transaction()
        id_ = transaction.context.get('company')
        companies = Company.search([]) if id_ is None else [Company(id_)]
        for company in companies:
            with transaction.set_context(company=company.id):
                func(cls, company)
    return wrapper
