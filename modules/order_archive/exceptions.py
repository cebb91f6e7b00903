# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.exceptions import UserError
from trytond.model.exceptions import ValidationError


class ArchiveError(UserError):
    pass


class RetentionError(ArchiveError):
    pass


class RetentionValidationError(ValidationError):
    pass


class HoldError(ArchiveError):
    pass


class HoldValidationError(ValidationError):
    pass


class DisposalError(ArchiveError):
    pass


class CustodyError(ArchiveError):
    pass


class LoanError(ValidationError):
    pass


class ContractError(UserError):
    pass


class ContractSignatureError(ValidationError):
    pass


class MandateValidationError(ValidationError):
    pass


class LedgerError(UserError):
    pass


class PlanValidationError(ValidationError):
    pass
