# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.exceptions import UserError, UserWarning
from trytond.model.exceptions import AccessError, ValidationError


class GradeAccessError(AccessError):
    pass


class FileValidationError(ValidationError):
    pass


class OverrideError(UserError):
    pass


class SchemeError(UserError):
    pass


class GradingRunAccessError(AccessError):
    pass


class GradingRunError(UserError):
    pass


class PolicyValidationError(ValidationError):
    pass


class ExposureError(UserError):
    pass


class LimitChangeError(UserError):
    pass


class CreditHoldError(UserError):
    pass


class CreditBlockedError(UserError):
    pass


class CreditWarning(UserWarning):
    pass


class FileAccessError(AccessError):
    pass


class FileStateError(UserError):
    pass


class FileApproveError(UserError):
    pass


class InvestigationError(UserError):
    pass


class ReplaceFileError(UserError):
    pass


class CareError(UserError):
    pass


class SurveyAnswerError(ValidationError):
    "What is wrong with the answers by their sequence"

    def __init__(self, errors):
        super().__init__('\n'.join(dict.fromkeys(errors.values())))
        self.errors = errors
