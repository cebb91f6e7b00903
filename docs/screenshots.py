# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""Take the pictures of the documentation from a demo that is running

    make demo
    .venv/bin/python -m docs.screenshots
"""

import argparse
import base64
import subprocess
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests import browser
from tests.browser import HEIGHT, WIDTH

IMAGES = Path(__file__).parent / 'images'


class Client(browser.Client):

    def shoot(self, name, area=None):
        "Take the picture of the area, of the tab by default"
        self.page.mouse.move(0, HEIGHT - 1)
        self.page.evaluate('document.activeElement.blur()')
        self.page.wait_for_timeout(300)
        save((area or self.tab).screenshot(), name)

    def switch(self):
        "Go to the next view"
        self.page.evaluate('Sao.Tab.tabs.get_current().switch_()')
        self.wait()


# Return the report on the order with the name as the client does
PRINT = """async ([name, party]) => {
    const rpc = (method, params) => Sao.rpc(
        {method, params}, Sao.Session.current_session);
    const ids = await rpc('model.sale.sale.search', [
        [['party.rec_name', 'like', party + '%'], ['reviews', '!=', null]],
        0, 1, [['id', 'DESC']], {}]);
    const [extension, data] = await rpc(
        `report.${name}.execute`, [ids, {model: 'sale.sale', ids}, {}]);
    return btoa(Array.from(data, b => String.fromCharCode(b)).join(''));
}"""


def print_(client, picture, report, party, page):
    "Take the picture of the page of the report on the last order of the party"
    save_page(picture, base64.b64decode(
            client.page.evaluate(PRINT, [f'sale.review.{report}', party])),
        page)


def save_page(picture, data, page):
    "Take the picture of the page of the report"
    content = subprocess.run(
        ['pdftoppm', '-png', '-r', '80', '-f', str(page), '-l', str(page),
            '-'],
        input=data, stdout=subprocess.PIPE, check=True).stdout
    save(content, picture)


def save(content, name):
    # Few colours keep the file small
    Image.open(BytesIO(content)).convert('RGB').quantize(
        128, dither=Image.Dither.NONE).save(
        IMAGES / f'{name}.png', optimize=True)
    print(IMAGES / f'{name}.png')


def record_order(client):
    print_(client, 'record-order', 'record', "Polarmat Foods", 1)


def record_change(client):
    print_(client, 'record-change', 'change_record', "Norrsken", 1)


def record_contract(client):
    print_(client, 'record-contract-zh', 'contract_record', "Ningbo", 1)


def order(client):
    client.menu("Order Review", "Orders")
    client.click("Under Review")
    client.open("Vestland Kollektiv")
    client.click("Reviews")
    client.size(760)
    client.shoot('order')


def submit(client):
    client.menu("Order Review", "Orders")
    client.open("Fjordlinja Ferger")
    client.click("Submit for Review")
    dialog = client.page.locator('.modal-content:visible')
    client.shoot('submit', dialog)
    dialog.get_by_text("Cancel").click()
    client.wait()


def signoffs(client):
    client.size(420)
    client.menu("Order Review", "My Sign-offs")
    client.shoot('signoffs')


def signoff(client):
    client.menu("Order Review", "My Sign-offs")
    client.open("Polarmat Foods")
    client.size(960)
    client.shoot('signoff')


def review(client):
    client.menu("Order Review", "Reviews")
    client.open("Polarmat Foods")
    client.click("Differences")
    client.size(480)
    client.shoot('review')


def rule(client):
    client.menu("Order Review", "Configuration", "Rules")
    client.open("Standing of new customers")
    client.size(790)
    client.shoot('rule')


def department(client):
    client.menu("Departments", "Departments")
    client.click("All")
    client.open("Finance")
    client.size(420)
    client.shoot('department')


def delegation(client):
    client.menu("Departments", "Delegations")
    client.open("Nils Haugen")
    client.size(330)
    client.shoot('delegation')


def company(client):
    client.menu("Companies", "Companies")
    client.open("Nordlys Displays")
    client.click("Working Days")
    client.size(700)
    client.shoot('company-working-days')


def customer_file(client):
    client.menu("Customers", "Customers")
    client.click("All")
    client.open("Havbris Offshore")
    client.size(960)
    client.shoot('customer-file')


def grading_run(client):
    client.menu("Customers", "Grading", "Grading Runs")
    client.click("All")
    client.open("GR0004")
    client.size(860)
    client.shoot('grading-run')


def grading_result(client):
    client.menu("Customers", "Grading", "Grading Runs")
    client.click("All")
    client.open("GR0004")
    client.tab.locator('a, button').filter(has_text="Results").filter(
        visible=True).first.click()
    client.wait()
    client.open("Norrsken Automation")
    client.size(640)
    client.shoot('grading-result')


def held_order(client):
    client.menu("Customers", "Credit", "Held Orders")
    client.open("Jærbu Robotikk")
    client.size(640)
    client.shoot('held-order')


def pareto(client):
    client.menu("Customers", "Reporting", "Customers by Revenue")
    client.switch()
    client.size(560)
    client.shoot('pareto')


def archive_file(client):
    client.menu("Order Archive", "Order Files")
    client.click("To Complete")
    client.open("Øresund Displays")
    client.size(680)
    client.shoot('archive-file')


def archive_catalogue(client):
    client.menu("Order Archive", "Order Files")
    client.click("All")
    client.search("touch screen")
    client.size(440)
    client.shoot('archive-catalogue')


def archive_contract(client):
    client.menu("Order Archive", "Contracts", "Contracts")
    client.click("All")
    client.open("Havbris Offshore")
    client.click("Signature and Seal")
    client.size(680)
    client.shoot('archive-contract')


def archive_verification(client):
    client.menu("Order Archive", "Integrity", "Verifications")
    client.open("Nordlys Displays")
    client.size(520)
    client.shoot('archive-verification')


def archive_disposal(client):
    client.menu("Order Archive", "Retention", "Disposals")
    client.click("All")
    client.open("Disposed")
    client.size(640)
    client.shoot('archive-disposal')


def archive_index(client):
    client.menu("Order Archive", "Order Files")
    client.click("All")
    client.tab.locator('.treeview thead input[type=checkbox]').first.click()
    data = client.print("Archive Index").path().read_bytes()
    save_page('archive-index', data, 1)


PICTURES = [
    ('sales', order),
    ('sales', submit),
    ('saleshead', signoffs),
    ('saleshead', signoff),
    ('auditor', review),
    ('admin', rule),
    ('admin', department),
    ('admin', delegation),
    ('admin', company),
    ('auditor', record_order),
    ('auditor', record_change),
    ('production', record_contract),
    ('finance', customer_file),
    ('saleshead', grading_run),
    ('saleshead', grading_result),
    ('finance', held_order),
    ('saleshead', pareto),
    ('archivist', archive_file),
    ('archivist', archive_catalogue),
    ('archivist', archive_index),
    ('legal', archive_contract),
    ('auditor', archive_verification),
    ('manager', archive_disposal),
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--url', default='http://127.0.0.1:8000/')
    parser.add_argument('--browser', default='/usr/bin/chromium')
    parser.add_argument('names', nargs='*', help="only these pictures")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with browser.start_browser(options.browser) as chromium:
        for login, take in PICTURES:
            if options.names and take.__name__ not in options.names:
                continue
            page = chromium.new_page(
                viewport={'width': WIDTH, 'height': HEIGHT})
            page.set_default_timeout(15_000)
            try:
                take(Client(page, options.url, login, f'{login}demo'))
            finally:
                page.close()


if __name__ == '__main__':
    main()
