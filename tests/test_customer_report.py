# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import builtins
import datetime as dt
import re
from decimal import Decimal
from unittest.mock import patch

from trytond.model.exceptions import AccessError
from trytond.modules.company_department.report import Document
from trytond.pool import Pool
from trytond.transaction import Transaction

from .grading import client, company, grade, party
from .grading_run import (
    TODAY, RunTestCase, add_sale, create_parties, create_scheme, criterion)
from .review import count_queries, get, with_company
from .test_customer_run import apply, by_sales, compute, sell
from .test_record import get_rows, get_texts

D = Decimal
DAY = dt.timedelta(days=1)
CARD = 'customer.grade.card'
MATRIX = 'customer.grading.migration.matrix'


def execute(name, *records, user="Karl"):
    Report = Pool().get(name, type='report')
    with client(user):
        extension, content, _, title = Report.execute(
            [r.id for r in records], {'model': records[0].__name__})
    return extension, content


def render(name, *records, user="Karl"):
    "Return the HTML of the report"
    with patch.object(
            Document, 'convert', side_effect=lambda _, data: ('html', data)):
        extension, content = execute(name, *records, user=user)
    assert extension == 'html'
    return content


def create_file(name, company_=None):
    File = Pool().get('customer.file')
    file, = File.create([{
                'company': (company_ or company()).id,
                'party': party(name).id,
                }])
    return file


class CardTestCase(RunTestCase):
    "Test the card that explains the grades of a customer"

    def assertRow(self, content, *texts):
        rows = get_rows(content)
        self.assertTrue(
            any(all(t in r for t in texts) for r in rows),
            f"{texts} not in {rows}")

    @with_company
    def test_points(self):
        "Test the card shows where the points come from"
        scheme = create_scheme(
            criterion('sales_amount', 60, 'linear', 0, 100, name="Sales"),
            criterion('order_count', 40, 'band', (0, 20), (2, 50), (5, 100),
                name="Orders"))
        sell(Acme=50)
        run = apply(compute(scheme))
        content = render(CARD, party("Acme"))
        # 50 x 60 % + 20 x 40 %
        self.assertRow(content, "Sales", "$50.00", "1", "60.0 %", "30.00")
        self.assertRow(content, "Orders", "1", "20.00", "40.0 %", "8.00")
        self.assertRow(content, "Total", "38.00")
        self.assertRow(
            content, "Class", "C – Class C", f"Grading Run – {run.number}")
        self.assertIn("Acme", get_texts(content))
        self.assertIn("Dunder Mifflin", get_texts(content))
