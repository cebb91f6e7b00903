# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If

from .requirement import ReviewedMixin


class Document(ReviewedMixin, ModelSQL, ModelView):
    __name__ = 'sale.processing.document'

    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, ondelete='CASCADE')
    kind = fields.Selection([
            ('bill_of_materials', "Bill of Materials"),
            ('process_requirements', "Process Requirements"),
            ('sample', "Sample"),
            ('work_instruction', "Work Instruction"),
            ], "Kind", required=True, sort=False)
    received_on = fields.Date("Received On")
    attachment = fields.Many2One(
        'ir.attachment', "Attachment", ondelete='RESTRICT',
        domain=[
            ('resource.id', '=', Eval('sale', -1), 'sale.sale'),
            ],
        help="The document among the attachments of the sale.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints += [
            ('sale_kind_unique', Unique(t, t.sale, t.kind),
                'sale_order_review.msg_processing_document_kind_unique'),
            ]
        cls._sql_indexes.add(Index(t, (t.attachment, Index.Equality())))
        cls._order = [('id', 'ASC')]

    def get_rec_name(self, name):
        return self.__names__('kind', self)['value']

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(~Eval('received_on'), 'warning', '')),
            ]


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    processing = fields.Boolean(
        "Processing", loading='lazy',
        states={
            'readonly': Eval('state') != 'draft',
            },
        help="Check if material that the customer supplies is processed.")
    processing_documents = fields.One2Many(
        'sale.processing.document', 'sale', "Processing Documents",
        states={
            'invisible': ~Eval('processing', False),
            },
        help="What the customer must hand over with the material.")
    material_complete_on = fields.Date(
        "Material Complete On", loading='lazy',
        states={
            'invisible': ~Eval('processing', False),
            },
        help="The date on which all the material of the customer is there.")

    @fields.depends('processing', 'processing_documents')
    def on_change_processing(self):
        pool = Pool()
        Document = pool.get('sale.processing.document')
        if self.processing and not self.processing_documents:
            self.processing_documents = [
                Document(kind=k) for k, _ in Document.kind.selection]

    @classmethod
    def review_aspects(cls):
        pool = Pool()
        Document = pool.get('sale.processing.document')
        aspects = super().review_aspects()
        aspects['requirements'][cls.__name__].add('processing')
        aspects['requirements'][Document.__name__] = {'kind'}
        return aspects

    @classmethod
    def copy(cls, sales, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('material_complete_on')
        default.setdefault('processing_documents.received_on')
        default.setdefault('processing_documents.attachment')
        return super().copy(sales, default=default)

    def _get_intake_documents(self):
        pool = Pool()
        Document = pool.get('sale.processing.document')
        if not self.processing:
            return
        received = {
            d.kind for d in self.processing_documents if d.received_on}
        kinds = Document.kind.get_selection(Document, 'kind', None)
        for kind, name in kinds.items():
            if kind not in received:
                yield gettext('sale_order_review.msg_intake_document',
                    document=name)
        if not self.material_complete_on:
            yield gettext('sale_order_review.msg_intake_material_complete_on')
