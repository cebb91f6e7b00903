# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError, ValidationError


class GradeAccessError(AccessError):
    pass


class FileValidationError(ValidationError):
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
