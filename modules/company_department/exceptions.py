# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model.exceptions import ValidationError


class CalendarValidationError(ValidationError):
    pass


class DelegationValidationError(ValidationError):
    pass


class MemberValidationError(ValidationError):
    pass
