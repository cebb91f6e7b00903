# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

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
    User = pool.get('res.user')
    with without_check_access():
        user = User(get_user())
        employees = [e for e in user.employees if e.company == company]
        id_ = Transaction().context.get(
            'employee', user.employee.id if user.employee else None)
        for employee in employees:
            if employee.id == id_:
                return employee
        if employees and not current:
            return (
                user.employee if user.employee in employees
                else employees[0])
