# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from itertools import groupby

from trytond.model import ModelStorage, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import Transaction, without_check_access


class SourceMixin(ModelStorage):
    "What is collected when it is issued"
    __slots__ = ()
    # By name of the collector the fields whose change issues it
    _issued_by = {}

    @classmethod
    def on_modification(cls, mode, records, field_names=None):
        pool = Pool()
        Archive = pool.get('order.archive')
        super().on_modification(mode, records, field_names=field_names)
        if mode == 'write':
            for name, names in cls._issued_by.items():
                if not field_names or names & set(field_names):
                    Archive.issued(name, records)


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    @classmethod
    def do(cls, sales):
        pool = Pool()
        Archive = pool.get('order.archive')
        super().do(sales)
        Archive.issued('cost', sales)


class Amendment(metaclass=PoolMeta):
    __name__ = 'sale.amendment'

    @classmethod
    @ModelView.button
    def validate_amendment(cls, amendments):
        pool = Pool()
        Archive = pool.get('order.archive')
        Sale = pool.get('sale.sale')
        super().validate_amendment(amendments)
        sales = Sale.browse({a.sale for a in amendments})
        Archive.issued('change', amendments)
        Archive.issued('order', sales, everything=True)


class Review(metaclass=PoolMeta):
    __name__ = 'sale.review'

    @classmethod
    def on_modification(cls, mode, reviews, field_names=None):
        pool = Pool()
        Archive = pool.get('order.archive')
        Sale = pool.get('sale.sale')
        super().on_modification(mode, reviews, field_names=field_names)
        if mode == 'write' and 'state' in (field_names or ['state']):
            with without_check_access():
                Archive.issued(
                    'review', Sale.browse({r.sale for r in reviews}))


class Shipment(SourceMixin):
    __slots__ = ()
    _issued_by = {'delivery': {'state'}}


class ShipmentOut(Shipment, metaclass=PoolMeta):
    __name__ = 'stock.shipment.out'


class ShipmentOutReturn(Shipment, metaclass=PoolMeta):
    __name__ = 'stock.shipment.out.return'


class Invoice(SourceMixin, metaclass=PoolMeta):
    __name__ = 'account.invoice'
    _issued_by = {'payment': {'state', 'payment_lines'}}

    @classmethod
    def on_modification(cls, mode, invoices, field_names=None):
        pool = Pool()
        Archive = pool.get('order.archive')
        super().on_modification(mode, invoices, field_names=field_names)
        if mode == 'write' and set(field_names or ['state']) & {
                'state', 'invoice_report_revisions'}:
            with without_check_access():
                Archive.gathered('invoice', [
                        i for i in cls.browse(invoices)
                        if i.type == 'out' and i.state in {'posted', 'paid'}])


class Payment(SourceMixin, metaclass=PoolMeta):
    __name__ = 'account.payment'
    _issued_by = {'payment': {'state'}}


class Production(SourceMixin, metaclass=PoolMeta):
    __name__ = 'production'
    _issued_by = {'production': {'state'}}


class Inspection(SourceMixin, metaclass=PoolMeta):
    __name__ = 'quality.inspection'
    _issued_by = {'inspection': {'state'}}


class Complaint(SourceMixin, metaclass=PoolMeta):
    __name__ = 'sale.complaint'
    _issued_by = {'complaint': {'state'}}


class Survey(SourceMixin, metaclass=PoolMeta):
    __name__ = 'customer.survey'
    _issued_by = {'survey': {'state'}}


class ResourceMixin(ModelStorage):
    "What hangs on the records of an order"
    __slots__ = ()
    _collector = None
    # The fields with what is collected
    _content = set()

    @classmethod
    def _get_resources(cls, records):
        return {str(r.resource) for r in records if r.resource}

    @classmethod
    def _gather(cls, method, records):
        pool = Pool()
        Archive = pool.get('order.archive')
        with without_check_access():
            getattr(Archive, method)(
                cls._collector, cls._get_resources(cls.browse(records)))

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode == 'delete' or (
                mode == 'write' and cls._content & set(values)):
            cls._gather('keep', records)

    @classmethod
    def on_modification(cls, mode, records, field_names=None):
        super().on_modification(mode, records, field_names=field_names)
        if mode == 'create' or (
                mode == 'write'
                and cls._content & set(field_names or cls._content)):
            cls._gather('gathered', records)


class Attachment(ResourceMixin, metaclass=PoolMeta):
    __name__ = 'ir.attachment'
    _collector = 'attachment'
    _content = {'data', 'file_id', 'link', 'type', 'resource'}

    archive_kind = fields.Many2One(
        'order.archive.kind', "Kind in the Order File", ondelete='SET NULL',
        help="As what it is kept in the order file.\n"
        "Leave empty for the kind of the attachments of the resource.")

    @classmethod
    def default_archive_kind(cls):
        return Transaction().context.get('_archive_kind')

    @classmethod
    def on_modification(cls, mode, attachments, field_names=None):
        super().on_modification(mode, attachments, field_names=field_names)
        if mode == 'write' and 'archive_kind' in (field_names or []):
            cls._gather('gathered', attachments)


class Note(ResourceMixin, metaclass=PoolMeta):
    __name__ = 'ir.note'
    _collector = 'note'
    _content = {'message', 'resource'}


class ChatMessage(ResourceMixin, metaclass=PoolMeta):
    __name__ = 'ir.chat.message'
    _collector = 'chat'
    _content = {'content', 'channel'}

    @classmethod
    def _get_resources(cls, records):
        return {
            str(r.channel.resource) for r in records if r.channel.resource}


class IncomingDocument(metaclass=PoolMeta):
    __name__ = 'document.incoming'

    sale = fields.Many2One(
        'sale.sale', "Sale", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'invisible': Eval('type') != 'order_document',
            'required': (
                (Eval('type') == 'order_document')
                & (Eval('state') != 'draft')),
            'readonly': Eval('state') != 'draft',
            })
    archive_kind = fields.Many2One(
        'order.archive.kind', "Kind in the Order File", ondelete='RESTRICT',
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ],
        states={
            'invisible': Eval('type') != 'order_document',
            'readonly': Eval('state') != 'draft',
            })

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.type.selection.append(('order_document', "Order Document"))

    @classmethod
    def _get_results(cls):
        return super()._get_results() | {'sale.sale'}

    def _process_order_document(self):
        return self.sale

    @classmethod
    @ModelView.button
    def proceed(cls, documents, with_children=False):
        # What it is attached as
        for kind, k_documents in groupby(
                documents, key=lambda d: d.archive_kind):
            with Transaction().set_context(
                    _archive_kind=kind.id if kind else None):
                super().proceed(
                    list(k_documents), with_children=with_children)
