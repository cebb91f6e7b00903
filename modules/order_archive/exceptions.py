# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.exceptions import UserError


class ArchiveError(UserError):
    pass


class LedgerError(UserError):
    pass
