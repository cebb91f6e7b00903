# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.model import ModelSQL, ModelView, fields

from .archive import EvidenceMixin


class Event(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.event'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    archive = fields.Many2One(
        'order.archive', "File", readonly=True, ondelete='RESTRICT')
    resource = fields.Char("Resource", required=True, readonly=True)
    action = fields.Char("Action", required=True, readonly=True)
    content = fields.Text("Content", required=True, readonly=True)

    @classmethod
    def record(cls, action, records, details=None):
        """Record in the ledger what happened to the records and their values
        since

        records are of one model that has ledger_values, company and archive,
        details return by record a dictionary of what is to be told besides.
        The events are sealed into the chain after the transaction."""
