# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.pool import Pool, PoolMeta

from .exceptions import GradeAccessError


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.extend([
                ('customer.grade.override|expire',
                    "End Expired Overrides of Customer Grades"),
                ('customer.grading.run|schedule',
                    "Compute Customer Grading Runs"),
                ])


class Attachment(metaclass=PoolMeta):
    __name__ = 'ir.attachment'

    @classmethod
    def check_modification(
            cls, mode, attachments, values=None, external=False):
        super().check_modification(
            mode, attachments, values=values, external=external)
        if mode in {'write', 'delete'}:
            for attachment in attachments:
                if attachment._is_customer_evidence():
                    raise GradeAccessError(gettext(
                            'customer_grading.msg_attachment_evidence',
                            attachment=attachment.rec_name,
                            record=attachment.resource.rec_name))

    def _is_customer_evidence(self):
        "Return whether the attachment belongs to what has been decided"
        pool = Pool()
        Override = pool.get('customer.grade.override')
        return (
            isinstance(self.resource, Override)
            and self.resource.state in {'approved', 'ended', 'rejected'})
