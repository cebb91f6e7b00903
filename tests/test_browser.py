# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import threading
from contextlib import contextmanager

import pytest

from .browser import HEIGHT, WIDTH, Client, start_browser
from .tools import ROOT, require, unavailable

PICTURES = ROOT / 'build' / 'tests' / 'browser'
PASSWORD = 'Kiosk-und-Schirm-24'

# The server answers from other threads, which the databases in memory of
# SQLite do not share
pytestmark = pytest.mark.postgresql


@pytest.fixture(scope='module')
def company():
    """A company whose sales head, production and finance sign the orders and
    production their changes, with its users"""
    from proteus import Model, config
    from trytond.modules.account.tests.tools import create_chart
    from trytond.modules.company.tests.tools import create_company
    from trytond.modules.company_department.tests.tools import (
        create_department, create_user)
    from trytond.modules.sale_order_review.tests.tools import (
        create_product, create_rule)
    from trytond.tests.tools import activate_modules, set_user

    activate_modules(
        ['order_archive', 'sale_amendment', 'sale_order_review'],
        create_company, create_chart)
    users = {
        "Sven": ["Sales", "Sale Amendment"],
        "Sigrid": ["Sales", "Order Review"],
        "Petra": ["Order Review"],
        "Frida": ["Order Review"],
        "Arno": ["Order Archive"],
        }
    for name, groups in users.items():
        users[name] = create_user(name, *groups)
        users[name].password = PASSWORD
        users[name].save()
    sales = create_department("Sales", head=users["Sigrid"])
    production = create_department("Production", users["Petra"])
    finance = create_department("Finance", head=users["Frida"])
    create_rule(sales, stage=1, signatories='head')
    create_rule(
        production, stage=2, subjects=['sale.sale', 'sale.amendment'])
    create_rule(finance, stage=2, signatories='head')
    configuration = Model.get('sale.configuration')(1)
    configuration.review_executing_departments.append(
        Model.get('company.department')(production.id))
    configuration.save()
    create_product()
    yield users
    set_user(1)
    assert config.get_config().user == 1


def create_order(company, name):
    "Return a quotation of Sven to the customer with the name"
    from proteus import Model
    from trytond.modules.sale_order_review.tests.tools import (
        create_customer, create_quotation)
    from trytond.tests.tools import set_user

    set_user(1)
    product, = Model.get('product.product').find([])
    customer = create_customer(name)
    set_user(company["Sven"])
    return create_quotation(product, customer)


def create_confirmed(company, name):
    "Return an order of Sven to the customer with the name that is confirmed"
    from proteus import Model
    from trytond.modules.sale_order_review.tests.tools import submit_review
    from trytond.tests.tools import set_user

    sale = create_order(company, name)
    submit_review(sale)
    for signatory in ["Sigrid", "Petra", "Frida"]:
        set_user(company[signatory])
        signoff, = Model.get('sale.review.signoff').find([
                ('sale', '=', sale.id),
                ('can_sign', '=', True),
                ])
        signoff.click('approve')
    set_user(company["Sven"])
    sale.reload()
    sale.click('confirm')
    return sale


def create_amendment(company, name):
    """Return a draft amendment by Sven of the confirmed order of the customer
    with the name"""
    from proteus import Model

    sale = create_confirmed(company, name)
    amendment = Model.get('sale.amendment')(sale=sale)
    line = amendment.lines.new(action='line')
    line.line = sale.lines[0]
    line.quantity = 12
    amendment.asked_by = 'customer'
    amendment.reason = "Two more machines."
    amendment.save()
    return amendment


@contextmanager
def serve(client):
    "Serve the database of the test with the web client"
    from werkzeug.serving import make_server

    from trytond import config
    from trytond.wsgi import SharedDataMiddlewareIndex, app

    # Those of the other tests and of the cache do not matter
    config.set('database', 'list', 'False')

    def application(environ, start_response):
        return SharedDataMiddlewareIndex(app, {'/': str(client)})(
            environ, start_response)

    server = make_server('127.0.0.1', 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.port}'
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture(scope='module')
def url(company):
    from demo import client
    from demo.errors import DemoError

    folder = ROOT / 'build' / 'demo' / 'client'
    try:
        client.fetch(folder)
    except DemoError as exception:
        unavailable(str(exception))
    with serve(folder) as address:
        yield address


@pytest.fixture(scope='module')
def chromium():
    with start_browser(require('chromium', 'google-chrome')) as browser:
        yield browser


@pytest.fixture
def login(chromium, url):
    "Return a function that opens the client as the user"
    from trytond.tests.test_tryton import DB_NAME
    pages = []

    def open_client(name):
        page = chromium.new_page(
            viewport={'width': WIDTH, 'height': HEIGHT})
        page.set_default_timeout(30_000)
        # What pytest shows of a test that fails
        page.on('pageerror', lambda e: print(e))
        page.on('console', lambda m: m.type == 'error' and print(m.text))
        pages.append(page)
        return Client(page, url, name.lower(), PASSWORD, DB_NAME)

    PICTURES.mkdir(parents=True, exist_ok=True)
    yield open_client
    for i, page in enumerate(pages, 1):
        page.screenshot(path=PICTURES / f'last-{i}.png')
        page.close()


def picture(client, name):
    client.page.screenshot(path=PICTURES / f'{name}.png')


def test_plain_course(company, login):
    "A quotation is submitted, signed by three persons and confirmed"
    sale = create_order(company, "Acme")
    sven = login("Sven")
    sven.menu("Order Review", "Orders")
    sven.open("Acme")
    assert not sven.visible("Confirm")
    sven.click("Submit for Review")
    picture(sven, '1-submit')
    sven.page.locator('.modal-content:visible').get_by_text(
        "Submit", exact=True).click()
    sven.wait()
    sven.click("Reviews")
    picture(sven, '2-under-review')
    assert not sven.visible("Submit for Review")

    for i, (name, opinion) in enumerate([
                ("Sigrid", "Complete and within our policy."),
                ("Petra", "Capacity is there."),
                ("Frida", "The customer pays in time."),
                ], 3):
        signatory = login(name)
        signatory.menu("Order Review", "My Sign-offs")
        signatory.open("Acme")
        signatory.page.locator('textarea[name="opinion"]').fill(opinion)
        picture(signatory, f'{i}-sign-off-{name.lower()}')
        signatory.click("Approve")
        assert not signatory.visible("Approve")

    sven = login("Sven")
    sven.menu("Order Review", "Orders")
    sven.click("To Confirm")
    sven.open("Acme")
    sven.click("Reviews")
    picture(sven, '6-approved')
    sven.click("Confirm")

    sale.reload()
    assert sale.state in {'confirmed', 'processing'}
    assert sale.review_state == 'approved'
    assert [s.opinion for s in sale.review_signoffs] == [
        "Complete and within our policy.",
        "Capacity is there.",
        "The customer pays in time.",
        ]


def test_change(company, login):
    "A confirmed order is changed after a review, and production is told"
    amendment = create_amendment(company, "Beta")
    sven = login("Sven")
    sven.menu("Order Review", "Amendments")
    sven.open("Beta")
    sven.click("Submit for Review")
    dialog = sven.page.locator('.modal-content:visible')
    assert "10 → 12" in dialog.locator(
        'textarea[name="changes"]').input_value()
    picture(sven, 'change-1-submit')
    dialog.get_by_text("Submit", exact=True).click()
    sven.wait()
    assert not sven.visible("Submit for Review")

    petra = login("Petra")
    petra.menu("Order Review", "My Sign-offs")
    petra.open("Beta")
    picture(petra, 'change-2-sign-off')
    petra.page.locator('textarea[name="opinion"]').fill("There is glass left.")
    petra.click("Approve")

    sven = login("Sven")
    sven.menu("Order Review", "Amendments")
    sven.click("To Validate")
    sven.open("Beta")
    sven.click("Validate")
    picture(sven, 'change-3-validate')
    sven.page.get_by_text("OK", exact=True).click()
    sven.wait()

    petra = login("Petra")
    petra.menu("Order Review", "Acknowledgements")
    picture(petra, 'change-4-acknowledgements')
    petra.open("Beta")
    petra.click("Acknowledge")
    picture(petra, 'change-5-acknowledged')
    assert not petra.visible("Acknowledge")

    amendment.reload()
    assert amendment.state == 'validated'
    sale = amendment.sale
    assert [l.quantity for l in sale.lines] == [12]
    assert {
        str(a.origin): a.employee and a.employee.rec_name
        for a in sale.acknowledgements} == {
            str(amendment): "Petra", str(sale): None}


def test_archive(company, login):
    "The archivist finds the file of an order and prints the index"
    from proteus import Model
    from trytond.tests.tools import set_user

    set_user(1)
    configuration = Model.get('order.archive.configuration')(1)
    configuration.plan, = Model.get('order.archive.class').find([
            ('code', '=', 'EQ')])
    configuration.save()
    for name in ["Gamma", "Delta"]:
        sale = create_confirmed(company, name)

    arno = login("Arno")
    arno.menu("Order Archive", "Order Files")
    arno.click("Running")
    rows = arno.tab.locator('.treeview tbody tr').filter(visible=True)
    assert rows.count() == 2
    arno.search("delta")
    picture(arno, 'archive-catalogue')
    assert rows.count() == 1
    assert sale.number in rows.first.inner_text()
    rows.locator('input[type=checkbox]').first.click()
    index = arno.print("Archive Index")
    assert index.suggested_filename.endswith('.pdf')
    assert index.path().read_bytes().startswith(b'%PDF')
