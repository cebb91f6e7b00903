# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.exceptions import UserError, UserWarning
from trytond.model.exceptions import ValidationError


class ReviewError(UserError):
    pass


class ReviewRequiredError(ReviewError):
    pass


class ConditionError(ReviewError):
    pass


class RuleError(ReviewError):
    pass


class SignoffError(ReviewError):
    pass


class IntakeError(ReviewError):
    pass


class ReleaseError(ReviewError):
    pass


class RequirementError(ReviewError):
    pass


class EntryErrorWithdrawError(ReviewError):
    pass


class InquiryError(ReviewError):
    pass


class UnusualQuantityWarning(UserWarning):
    pass


class SignoffLateWarning(UserWarning):
    pass


class RuleChecklistWarning(UserWarning):
    pass


class AmendmentReviewError(ReviewRequiredError):
    pass


class AcknowledgementError(ReviewError):
    pass


class RuleValidationError(ValidationError):
    pass


class ConditionValidationError(ValidationError):
    pass
