# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Department:
    code: str
    name: str
    responsibility: str
    parent: str | None = None


@dataclass(frozen=True)
class Person:
    name: str
    department: str | None = None
    head: bool = False
    login: str | None = None
    role: str = ''
    groups: list = field(default_factory=list)
    language: str = 'en'

    @property
    def password(self):
        return f'{self.login}demo'


DEPARTMENTS = [
    Department(
        'GM', "General Management",
        "Decides on price and overall risk where an order calls for it."),
    Department(
        'SALES', "Sales",
        "Finds out what the customer requires, negotiates and settles what "
        "the departments object to.", 'GM'),
    Department(
        'DESK', "Order Desk",
        "Enters the orders, confirms them when every question is settled and "
        "follows their execution.", 'GM'),
    Department(
        'RD', "Research and Development",
        "Judges technical feasibility and designs what is customised.", 'GM'),
    Department(
        'PROD', "Production",
        "Judges capacity, cycle time and special processes, and makes the "
        "goods.", 'GM'),
    Department(
        'QA', "Quality",
        "Documents the inspection requirements and inspects the goods.",
        'PROD'),
    Department(
        'FIN', "Finance",
        "Judges payment terms, margin and the customer's standing, and "
        "collects the money.", 'GM'),
    Department(
        'LEGAL', "Legal",
        "Checks the terms against law and regulation, liability and breach.",
        'GM'),
    Department(
        'ARCH', "Archive Office",
        "Keeps the originals of the contracts and the closed order files.",
        'GM'),
    ]

_SALES = ['sale.group_sale', 'sale_amendment.group_sale_amendment']
_REVIEW = ['sale_order_review.group_review']
_CUSTOMER = ['customer_grading.group_customer']
_CREDIT = ['customer_grading.group_customer_credit']
_GRADING = ['customer_grading.group_customer_admin']
PEOPLE = [
    Person(
        "Anna Berg", 'SALES', login='sales', groups=[*_SALES, *_CUSTOMER],
        role="enters quotations, submits them for review and looks after her "
        "customers: what is due, visits, surveys"),
    Person(
        "Jonas Vik", 'SALES', login='sales2', groups=[*_SALES, *_CUSTOMER],
        role="another seller, with orders and customers of his own"),
    Person(
        "Erik Lund", 'SALES', head=True, login='saleshead',
        groups=[*_SALES, 'sale.group_sale_admin', *_REVIEW, *_GRADING],
        role="signs for Sales, the first stage of every review, and computes "
        "the grades of the customers"),
    Person(
        "Kari Nilsen", 'DESK', head=True, login='orderdesk',
        groups=[*_SALES, 'sale.group_sale_admin', 'stock.group_stock',
            'production.group_production', *_REVIEW],
        role="confirms what is approved and follows the execution"),
    Person("Nils Haugen", 'RD', head=True),
    Person(
        "Li Na", 'RD', login='technical',
        groups=['product.group_product_admin', *_REVIEW],
        role="signs for R&D on behalf of its head, who is on leave"),
    Person(
        "Chen Wei", 'PROD', head=True, login='production', language='zh_CN',
        groups=['production.group_production', 'stock.group_stock', *_REVIEW],
        role="signs for Production; his client speaks Chinese"),
    Person(
        "Marit Dahl", 'QA', head=True, login='quality', groups=_REVIEW,
        role="signs for Quality where inspection is special"),
    Person(
        "Bjørn Aas", 'FIN', head=True, login='finance',
        groups=['account.group_account', 'account.group_account_admin',
            *_REVIEW, *_CREDIT],
        role="signs for Finance, releases the orders that are held and "
        "approves customer files and credit limits"),
    Person(
        "Sofie Holm", 'FIN', login='finance2',
        groups=['account.group_account', *_REVIEW, *_CREDIT],
        role="the colleague who signs large orders too and investigates new "
        "customers"),
    Person(
        "Henrik Moe", 'LEGAL', head=True, login='legal',
        groups=[*_REVIEW, 'order_archive.group_contract_seal',
            'order_archive.group_archive_disposal'],
        role="signs for Legal where the terms are unusual, keeps the seal of "
        "the contracts, and holds the files that are needed in a dispute"),
    Person(
        "Ingrid Solberg", 'GM', head=True, login='manager',
        groups=[*_SALES, *_REVIEW,
            'sale_order_review.group_review_release', *_GRADING,
            'order_archive.group_archive_waive',
            'order_archive.group_archive_confidential',
            'order_archive.group_archive_disposal'],
        role="decides on thin margins and very large orders, releases in an "
        "emergency, approves grading runs and disposals, and waives "
        "documents"),
    Person(
        "Torill Bakke", 'ARCH', head=True, login='archivist',
        groups=['sale.group_sale', 'order_archive.group_archive',
            'order_archive.group_archive_disposal',
            'order_archive.group_contract'],
        role="keeps the files of the orders and their contracts: adds what is "
        "missing, archives what is complete, finds it again, and disposes of "
        "it in the end"),
    Person(
        "Astrid Eide", login='auditor',
        groups=['sale_order_review.group_review_auditor',
            'customer_grading.group_customer_auditor',
            'order_archive.group_archive_auditor'],
        role="reads every review, grade, credit decision and order file and "
        "changes nothing"),
    Person(
        "Administrator", login='admin',
        role="sets up rules, departments and users"),
    ]
