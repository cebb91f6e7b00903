# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from sql.aggregate import Count

from trytond.model import fields
from trytond.pool import Pool, PoolMeta

DATE = fields.Date("Date")


class Metric(metaclass=PoolMeta):
    __name__ = 'customer.grading.metric'

    @classmethod
    def families(cls):
        return {**super().families(), 'holds': ['hold_count']}

    @classmethod
    def get_kinds(cls):
        return {**super().get_kinds(), 'hold_count': 'number'}

    @classmethod
    def get_metrics(cls):
        return super().get_metrics() + [('hold_count', "Held Orders")]

    @classmethod
    def _metric_holds(cls, company, start, end, parties=None):
        hold = Pool().get('sale.credit.hold').__table__()
        date = DATE.sql_cast(hold.held_at)
        return hold.select(
            hold.party.as_('party'),
            Count(hold.id).as_('hold_count'),
            Count(hold.id).as_('hold_count_count'),
            where=(hold.company == company.id)
            & (date > start) & (date <= end)
            & cls.where_parties(hold.party, parties),
            group_by=hold.party)

    @classmethod
    def _changed_holds(cls, company, since):
        hold = Pool().get('sale.credit.hold').__table__()
        return hold.select(
            hold.party.as_('party'),
            where=(hold.company == company.id) & (hold.create_date >= since))
