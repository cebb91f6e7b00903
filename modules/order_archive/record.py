# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.modules.company_department.report import Document, Texts
from trytond.pool import Pool


class Record(Document):
    "Print what the database holds of what has no report"
    __name__ = 'order.archive.record'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        # Only the archive prints it
        cls.__rpc__.clear()

    @classmethod
    def print(cls, company, title, subject, sections):
        """Return the extension and the content of the document

        The sections are triples of the name of the list, None for the record
        itself, the records and the names of what is told of them."""
        pool = Pool()
        ActionReport = pool.get('ir.action.report')
        ModelData = pool.get('ir.model.data')
        action = ActionReport(
            ModelData.get_id('order_archive', 'report_record'))
        return cls._execute([], {'company': company}, {
                'heading': title,
                'subject': subject,
                'sections': sections,
                }, action)

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        texts = RecordTexts(cls, context['company'])
        context.update(
            texts.get_context(),
            title=data['heading'],
            subject=data['subject'],
            sections=[
                (texts.get_heading(data, name), records,
                    texts.get_names(records, names))
                for name, records, names in data['sections'] if records])
        return context


class RecordTexts(Texts):
    "What the records hold, as texts in one language"

    def get_heading(self, data, name):
        "Return the name of the list of the record"
        (_, (record, *_), _), *_ = data['sections']
        if name and name in record._fields:
            return self.get_label(record, name)
        return name

    def get_names(self, records, names):
        return [n for n in names if n in records[0]._fields]

    def _get_value(self, record, name):
        value = super()._get_value(record, name)
        if record._fields[name]._type == 'dict' and value:
            pool = Pool()
            Schema = pool.get(record._fields[name].schema_model)
            labels = {
                d.name: d.string
                for d in Schema.search([('name', 'in', list(value))])}
            return '\n'.join(
                f'{labels.get(k, k)}: {self._format_entry(v)}'
                for k, v in sorted(value.items()))
        return value

    def _format_entry(self, value):
        if isinstance(value, bool):
            return gettext(
                'company_department.msg_yes' if value
                else 'company_department.msg_no')
        return self.format(value)
