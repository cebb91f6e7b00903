# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import Model


class Metric(Model):
    "The figures of the customers that schemes can use"
    __name__ = 'customer.grading.metric'

    @classmethod
    def get_metrics(cls):
        return [
            ('sales_amount', "Sales"),
            ('sales_growth', "Growth of Sales"),
            ('order_count', "Number of Orders"),
            ('active_months', "Active Months"),
            ('recency_days', "Days since Last Order"),
            ('customer_years', "Years of Cooperation"),
            ('product_variety', "Variety of Products"),
            ('margin_rate', "Margin Rate"),
            ('days_late', "Days Late"),
            ('overdue_amount', "Overdue Amount"),
            ('overdue_days_amount', "Overdue Share"),
            ('return_rate', "Return Rate"),
            ('complaint_rate', "Complaint Rate"),
            ('satisfaction_score', "Satisfaction"),
            ('opportunity_win_rate', "Opportunity Win Rate"),
            ('assessment_industry', "Assessment of Industry"),
            ('assessment_size', "Assessment of Size"),
            ('assessment_buying_power', "Assessment of Buying Power"),
            ('assessment_demand', "Assessment of Demand"),
            ('assessment_stability', "Assessment of Stability"),
            ('assessment_loyalty', "Assessment of Loyalty"),
            ('external_rating', "External Rating"),
            ]
