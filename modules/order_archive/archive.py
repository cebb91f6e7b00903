# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.model import (
    ModelSQL, ModelStorage, ModelView, Workflow, fields)
from trytond.model.exceptions import AccessError
from trytond.transaction import Transaction


def _recording():
    "Let the evidence of the archive be modified"
    return Transaction().set_context(_order_archive=True)


class EvidenceMixin(ModelStorage):
    """What is kept of an order: nobody creates, changes or deletes it but the
    archive itself, whatever the rights of who asks"""
    __slots__ = ()

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if not Transaction().context.get('_order_archive'):
            cls._deny_modification(mode, records)

    @classmethod
    def _deny_modification(cls, mode, records):
        raise AccessError(gettext(
                f'order_archive.msg_evidence_{mode}',
                **cls.__names__(record=records[0])))

    def ledger_values(self):
        """Return what the ledger keeps of the record: names of fields with
        values that JSON has, relations as ids or codes, decimals and dates as
        strings.

        Whatever changes one of them records an event, so that the content of
        the last event of the record is what the database must hold."""
        raise NotImplementedError


class Archive(Workflow, EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive'
    _rec_name = 'number'

    number = fields.Char("Number", required=True, readonly=True)
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True, ondelete='RESTRICT')
    class_ = fields.Many2One(
        'order.archive.class', "Class", readonly=True, ondelete='RESTRICT')
    supplement_of = fields.Many2One(
        'order.archive', "Supplement Of", readonly=True, ondelete='RESTRICT')
    items = fields.One2Many(
        'order.archive.item', 'archive', "Items", readonly=True)
    state = fields.Selection([
            ('collecting', "Collecting"),
            ('complete', "Complete"),
            ('archived', "Archived"),
            ('due', "Due for Disposal"),
            ('disposed', "Disposed"),
            ], "State", required=True, readonly=True, sort=False)


class Item(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.item'

    archive = fields.Many2One(
        'order.archive', "File", required=True, readonly=True,
        ondelete='RESTRICT')
    kind = fields.Many2One(
        'order.archive.kind', "Kind", required=True, readonly=True,
        ondelete='RESTRICT')
    name = fields.Char("Name", required=True, readonly=True)
    data = fields.Binary(
        "Data", filename='name', file_id='file_id',
        store_prefix='order_archive', readonly=True)
    file_id = fields.Char("File ID", readonly=True)
    size = fields.Integer("Size", readonly=True)
    sha256 = fields.Char("SHA-256", readonly=True)
    document_date = fields.Date("Document Date", readonly=True)
    source = fields.Char(
        "Source", readonly=True,
        help="The record it was taken from, which may be gone since.")
    state = fields.Selection([
            ('kept', "Kept"),
            ('superseded', "Superseded"),
            ('withdrawn', "Withdrawn"),
            ('disposed', "Disposed"),
            ], "State", required=True, readonly=True, sort=False)
