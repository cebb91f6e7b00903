# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt

from trytond.model import ModelSQL, fields
from trytond.modules.company.model import CompanyValueMixin
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, Id, TimeDelta

review_reminder = fields.Integer(
    "Reminder",
    domain=['OR',
        ('review_reminder', '=', None),
        ('review_reminder', '>=', 0),
        ],
    help="How many working days before the deadline of a sign-off "
    "those who can sign are reminded.\n"
    "Leave empty to remind nobody.")
review_escalation = fields.Integer(
    "Escalation",
    domain=['OR',
        ('review_escalation', '=', None),
        ('review_escalation', '>=', 0),
        ],
    help="How many working days after the deadline of a sign-off "
    "the head of the parent department is told.\n"
    "The head of the department itself is told at once.\n"
    "Leave empty to tell neither.")
review_new_customer = fields.TimeDelta(
    "New Customer",
    domain=['OR',
        ('review_new_customer', '=', None),
        ('review_new_customer', '>=', TimeDelta()),
        ],
    help="How long after its first order a customer is still new.")
review_offer = fields.Boolean(
    "Offers after Review",
    help="Check to refuse to print and send the offer of an order that must "
    "be reviewed before it is approved.")


class Configuration(metaclass=PoolMeta):
    __name__ = 'sale.configuration'

    review_sequence = fields.MultiValue(fields.Many2One(
            'ir.sequence', "Review Sequence", required=True,
            domain=[
                ('company', 'in', [
                        Eval('context', {}).get('company', -1), None]),
                ('sequence_type', '=',
                    Id('sale_order_review', 'sequence_type_review')),
                ]))
    review_reminder = fields.MultiValue(review_reminder)
    review_escalation = fields.MultiValue(review_escalation)
    review_new_customer = fields.MultiValue(review_new_customer)
    review_offer = fields.MultiValue(review_offer)

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field == 'review_sequence':
            return pool.get('sale.configuration.sequence')
        elif field in {
                'review_reminder', 'review_escalation',
                'review_new_customer', 'review_offer'}:
            return pool.get('sale.configuration.review')
        return super().multivalue_model(field)

    @classmethod
    def default_review_sequence(cls, **pattern):
        return cls.multivalue_model(
            'review_sequence').default_review_sequence()

    @classmethod
    def default_review_reminder(cls, **pattern):
        return cls.multivalue_model(
            'review_reminder').default_review_reminder()

    @classmethod
    def default_review_escalation(cls, **pattern):
        return cls.multivalue_model(
            'review_escalation').default_review_escalation()

    @classmethod
    def default_review_new_customer(cls, **pattern):
        return cls.multivalue_model(
            'review_new_customer').default_review_new_customer()


class ConfigurationSequence(metaclass=PoolMeta):
    __name__ = 'sale.configuration.sequence'

    review_sequence = fields.Many2One(
        'ir.sequence', "Review Sequence", required=True,
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ('sequence_type', '=',
                Id('sale_order_review', 'sequence_type_review')),
            ])

    @classmethod
    def default_review_sequence(cls):
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        try:
            return ModelData.get_id('sale_order_review', 'sequence_review')
        except KeyError:
            return None


class ConfigurationReview(CompanyValueMixin, ModelSQL):
    __name__ = 'sale.configuration.review'

    review_reminder = review_reminder
    review_escalation = review_escalation
    review_new_customer = review_new_customer
    review_offer = review_offer

    @classmethod
    def default_review_reminder(cls):
        return 1

    @classmethod
    def default_review_escalation(cls):
        return 2

    @classmethod
    def default_review_new_customer(cls):
        return dt.timedelta(days=365)
