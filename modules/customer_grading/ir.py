# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.extend([
                ('customer.due|remind', "Remind of What Is Due for Customers"),
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
                    raise AccessError(gettext(
                            'customer_grading.msg_attachment_evidence',
                            attachment=attachment.rec_name,
                            record=attachment.resource.rec_name))

    def _is_customer_evidence(self):
        """Return whether the attachment belongs to what is evidence

        Other parts add theirs by super()."""
        pool = Pool()
        Investigation = pool.get('customer.credit.investigation')
        resource = self.resource
        return (
            isinstance(resource, Investigation) and resource.state != 'draft')
