# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"The web client in a browser, as a user works with it"

import re
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1400, 900


@contextmanager
def start_browser(executable):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=[
                '--no-sandbox', '--disable-gpu',
                '--disable-background-networking'])
        try:
            yield browser
        finally:
            browser.close()


class Client:
    "The web client of a user"

    def __init__(self, page, url, login, password, database=None):
        self.page = page
        self.requests = set()
        page.on('request', lambda r: self.requests.add(r))
        for event in ['requestfinished', 'requestfailed']:
            page.on(event, lambda r: self.requests.discard(r))
        page.goto(url)
        self.wait()
        if database:
            page.fill('input#database:visible', database)
        page.fill('#login', login)
        page.keyboard.press('Enter')
        page.wait_for_selector('input[type=password]:visible')
        page.fill('input[type=password]:visible', password)
        page.keyboard.press('Enter')
        page.wait_for_selector('#menu .tree tbody tr')
        self.wait()

    def wait(self):
        "Wait until the client has been idle for some time"
        idle = 0
        while idle < 7:
            self.page.wait_for_timeout(100)
            # The request for notifications stays open
            busy = any(not r.url.endswith('/bus') for r in self.requests)
            idle = 0 if busy else idle + 1

    @property
    def tab(self):
        return self.page.locator('#tabcontent > .active')

    def menu(self, *path):
        "Open the menu item and hide the menu"
        for i, name in enumerate(path, 1):
            row = self.page.locator('#menu tbody tr').filter(
                has=self.page.get_by_text(name, exact=True)).last
            if i < len(path):
                row.locator('.expander img').click()
            else:
                row.get_by_text(name, exact=True).click()
            self.wait()
        self.page.click('.navbar-brand')
        self.wait()

    def click(self, name):
        "Click on the tab or the button"
        self._named(name).first.click()
        self.wait()

    def _named(self, name):
        return self.tab.locator('a, button').filter(
            # With or without a counter
            has_text=re.compile(f'^\\s*{re.escape(name)}[\\s\\d+]*$')).filter(
            visible=True)

    def open(self, text):
        "Open the record in the row with the text"
        row = self.tab.locator('.treeview tbody tr').filter(
            has_text=text).first
        widget = row.locator('td .widget:visible').first
        box = widget.bounding_box()
        # Not on the text, which can be a link to another record
        widget.dblclick(
            position={'x': box['width'] - 2, 'y': box['height'] / 2})
        self.wait()

    def search(self, text):
        "Search the text in the list"
        entry = self.tab.locator('.filter-box input').filter(
            visible=True).first
        entry.fill(text)
        entry.press('Enter')
        self.wait()

    def print(self, name):
        "Print the report and return what the client downloads"
        self.tab.locator('button#print').click()
        with self.page.expect_download() as download:
            self.page.locator('.dropdown.open, .btn-group.open').get_by_text(
                name, exact=True).click()
        self.wait()
        return download.value

    def size(self, height):
        self.page.set_viewport_size({'width': WIDTH, 'height': height})
        self.wait()

    def visible(self, name):
        "Return whether there is a button with the name"
        return self._named(name).count() > 0
