# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import textwrap


class DemoError(Exception):
    "What went wrong and what to do, for somebody who just wants to look"

    def __init__(self, message, details=''):
        super().__init__(message)
        self.details = details.strip()

    def __str__(self):
        text = textwrap.fill(super().__str__(), 79, break_on_hyphens=False)
        if self.details:
            text += '\n' + textwrap.indent(self.details, '    ')
        return text
