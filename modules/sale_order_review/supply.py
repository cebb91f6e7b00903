# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.
"What amendments do to the supply of the orders"

from trytond.i18n import gettext
from trytond.pool import PoolMeta


class Amendment(metaclass=PoolMeta):
    __name__ = 'sale.amendment'

    def get_review_effects(self):
        texts = super().get_review_effects()
        requests = {
            l.purchase_request for l in self._supplied_lines
            if l.purchase_request
            and l.purchase_request.state not in {'done', 'cancelled'}}
        if requests:
            texts.append(gettext(
                    'sale_order_review.msg_effect_purchase_requests',
                    records='; '.join(sorted(r.rec_name for r in requests))))
        return texts


class AmendmentProduction(metaclass=PoolMeta):
    __name__ = 'sale.amendment'

    def get_review_effects(self):
        texts = super().get_review_effects()
        productions = [
            p for l in self._supplied_lines for p in l.productions
            if p.state not in {'done', 'cancelled'}]
        if productions:
            texts.append(gettext(
                    'sale_order_review.msg_effect_productions',
                    records='; '.join(sorted(
                            f'{p.rec_name} {p.product.rec_name}'
                            for p in productions))))
        return texts
