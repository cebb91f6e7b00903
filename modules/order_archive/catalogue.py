# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.modules.company_department.report import Document, Texts
from trytond.pool import Pool
from trytond.transaction import check_access


class ArchiveDocument(Document):
    "Print what the user may read of the files"
    _model = 'order.archive'

    @classmethod
    def _execute(cls, records, header, data, action):
        with check_access():
            return super()._execute(records, header, data, action)

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        texts = ArchiveTexts(cls, context['company'], records)
        context.update(texts.get_context(), texts=texts)
        return context


class ArchiveIndex(ArchiveDocument):
    __name__ = 'order.archive.index'


class FileCover(ArchiveDocument):
    __name__ = 'order.archive.cover'


class ArchiveTexts(Texts):
    "Files and their documents as texts in one language"
    messages = 'order_archive.msg_print'

    def __init__(self, Report, company, records):
        super().__init__(Report, company)
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        self.files = sorted(
            Archive.browse(list(map(int, records))), key=lambda a: a.number)
        self.items = {a: [] for a in self.files}
        self.places = {}
        for item in Item.search([
                    ('archive', 'in', list(map(int, records))),
                    ('state', 'in', ['kept', 'disposed']),
                    ('withdrawn_at', '=', None),
                    ('superseded_by', '=', None),
                    ], order=[
                    ('archive', 'ASC'),
                    ('kind', 'ASC'),
                    ('document_date', 'ASC NULLS FIRST'),
                    ('id', 'ASC'),
                    ]):
            items = self.items[item.archive]
            items.append(item)
            self.places[item] = len(items)

    def get_context(self):
        return {
            **super().get_context(),
            'files': self.files,
            'items': self.items,
            'total': gettext('order_archive.msg_print_total',
                files=len(self.files),
                documents=sum(map(len, self.items.values()))),
            }

    def _get_position(self, item):
        return self.places[item]

    def _get_documents(self, archive):
        return len(self.items[archive])

    def _get_fingerprint(self, item):
        return item.sha256

    def _get_kilobytes(self, item):
        return -(-item.size // 1000) if item.size is not None else None
