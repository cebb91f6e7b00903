# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from proteus import Model
from trytond.modules.company.tests.tools import get_company

__all__ = ['create_department', 'create_user']


def create_user(name, *groups, company=None, config=None):
    """Create a user with an employee of the company

    groups are the names of the groups to which the user belongs."""
    Employee = Model.get('company.employee', config=config)
    Group = Model.get('res.group', config=config)
    Party = Model.get('party.party', config=config)
    User = Model.get('res.user', config=config)

    if not company:
        company = get_company(config=config)
    party = Party(name=name)
    party.save()
    employee = Employee(party=party, company=company)
    employee.save()
    user = User(name=name, login=name.lower())
    user.companies.append(company.__class__(company.id))
    user.company = company
    user.employees.append(Employee(employee.id))
    user.employee = employee
    for group in groups:
        group, = Group.find([('name', '=', group)])
        user.groups.append(group)
    user.save()
    return user


def create_department(name, *users, head=None, company=None, config=None):
    "Create a department of the company with the users as head and members"
    Department = Model.get('company.department', config=config)

    if not company:
        company = get_company(config=config)
    department = Department(name=name, company=company)
    if head:
        department.head = head.employee
    for user in users:
        department.members.new(employee=user.employee)
    department.save()
    return department
