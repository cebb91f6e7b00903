# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.modules.company_department.tools import group_by_company
from trytond.pool import Pool, PoolMeta
from trytond.transaction import Transaction, without_check_access

from .exceptions import ReviewRequiredError

_REPORT = 'sale.sale'


class OfferMixin:
    "Report that keeps the offers of orders back until they are approved"
    __slots__ = ()

    @classmethod
    def check_access(cls, action, model, ids):
        pool = Pool()
        Sale = pool.get('sale.sale')
        super().check_access(action, model, ids)
        # Each report can be executed with the action of another one
        if (model == Sale.__name__
                and _REPORT in {cls.__name__, action.report_name}):
            Sale.check_offer(Sale.browse(ids))


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    @classmethod
    def check_offer(cls, sales):
        """Check that the offers of the sales may leave, and raise
        ReviewRequiredError with all that is missing"""
        if missing := cls.get_offer_missing(sales):
            raise ReviewRequiredError(gettext(
                    'sale_order_review.msg_offer',
                    missing='\n'.join(
                        t for texts in missing.values() for t in texts)))

    @classmethod
    @without_check_access
    def get_offer_missing(cls, sales):
        """Return by sale the list of texts of what its review misses for the
        offer, without those whose company does not ask for it"""
        pool = Pool()
        Condition = pool.get('sale.review.condition')
        Configuration = pool.get('sale.configuration')
        configuration = Configuration(1)
        # As they are now also when looking at the history
        with Transaction().set_context(_datetime=None):
            offers = [
                s for company, c_sales in group_by_company(cls.browse(sales))
                if configuration.get_multivalue(
                    'review_offer', company=company.id)
                for s in c_sales
                # A cancelled one can become a draft again
                if s.state in {'draft', 'quotation', 'cancelled'}
                and s.review_state != 'released']
        # What is printed would not be what is checked
        cls._check_history(offers)
        missing = cls._get_unreviewed(offers, offers)
        for sale, texts in Condition.get_open(
                offers, 'confirm', [('payment_term', '!=', None)]).items():
            missing.setdefault(sale, []).extend(texts)
        return missing


class Notification(metaclass=PoolMeta):
    __name__ = 'notification.email'

    def send_email(self, records, trigger):
        pool = Pool()
        Sale = pool.get('sale.sale')
        if (self.model == Sale.__name__
                and any(
                    r.report_name == _REPORT
                    for r in [self.content, *self.attachments])):
            # Without preventing what triggers it
            missing = Sale.get_offer_missing(records)
            records = [r for r in records if r not in missing]
        super().send_email(records, trigger)
