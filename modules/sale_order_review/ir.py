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
                ('sale.review.signoff|remind',
                    "Remind of Order Review Sign-offs"),
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
                if attachment._is_review_evidence():
                    raise AccessError(gettext(
                            'sale_order_review.msg_attachment_evidence',
                            attachment=attachment.rec_name,
                            record=attachment.resource.rec_name))

    def _is_review_evidence(self):
        "Return whether the attachment belongs to what has been decided"
        pool = Pool()
        Answer = pool.get('sale.review.answer')
        Decision = pool.get('sale.review.decision')
        Review = pool.get('sale.review')
        Signoff = pool.get('sale.review.signoff')
        resource = self.resource
        if isinstance(resource, Answer):
            resource = resource.signoff
        if isinstance(resource, Review):
            return resource.state != 'open'
        elif isinstance(resource, Signoff):
            return (bool(resource.decisions)
                or resource.state not in {'waiting', 'pending'})
        return isinstance(resource, Decision)
