# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import html
import re
from decimal import Decimal
from functools import cache

from genshi.builder import tag
from genshi.core import XML_NAMESPACE

from trytond.i18n import gettext
from trytond.model import Model
from trytond.model.exceptions import AccessError
from trytond.modules.company import CompanyReport
from trytond.pool import Pool
from trytond.tools import file_open
from trytond.transaction import Transaction


class Document(CompanyReport):
    """Print HTML as PDF

    The same report can be that of several models: each has its action."""
    # That of which it is without any in the data
    _model = None

    @classmethod
    def execute(cls, ids, data):
        pool = Pool()
        ActionReport = pool.get('ir.action.report')
        if data.get('action_id') is None:
            actions = ActionReport.search([
                    ('report_name', '=', cls.__name__),
                    ('model', '=', data.get('model') or cls._model),
                    ], limit=1)
            if not actions:
                cls._deny()
            data = {**data, 'action_id': actions[0].id}
        return super().execute(ids, data)

    @classmethod
    def _deny(cls):
        raise AccessError(gettext(
                'ir.msg_access_report_error', report=cls.__name__))

    @classmethod
    def _execute(cls, records, header, data, action):
        if action.report_name != cls.__name__:
            cls._deny()
        return super()._execute(
            records, header, {**data, 'title': action.name}, action)

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        context.update(
            title=data['title'],
            style=cls._get_style(),
            language=Transaction().language.replace('_', '-'))
        return context

    @classmethod
    @cache
    def _get_style(cls):
        with file_open('company_department/report/style.css') as file:
            return file.read()

    @classmethod
    def convert(cls, report, data, **kwargs):
        if report.template_extension != 'html' or report.extension != 'pdf':
            return super().convert(report, data, **kwargs)
        content, problem = cls._convert_pdf(data)
        if content:
            return 'pdf', content
        # Better than a document that cannot be read
        head, body, content = re.split('(<body[^>]*>)', data, maxsplit=1)
        return 'html', (
            f'{head}{body}<p class="notice">{html.escape(problem)}</p>'
            f'{content}')

    @classmethod
    def _convert_pdf(cls, data):
        "Return the PDF or None and the text of why it cannot be made"
        try:
            import weasyprint
        except (ImportError, OSError) as exception:
            # OSError if only the library of Pango is missing
            return None, gettext(
                'company_department.msg_report_no_pdf',
                error=str(exception).split('\n')[0])
        document = weasyprint.HTML(
            string=data,
            url_fetcher=weasyprint.URLFetcher(allowed_protocols={'data'}),
            ).render()
        content = document.write_pdf()
        missing = {c for f in document.fonts.values() for c in f.missing}
        if missing:
            return None, gettext(
                'company_department.msg_report_no_font',
                characters=' '.join(map(chr, sorted(missing)[:20])))
        return content, None


class Texts:
    """Records as texts in one language

    What is printed of a record under a name that is not one of its fields is
    returned by the method _get_<name>, whose label is the message
    <messages>_<name>."""
    messages = None

    def __init__(self, Report, company):
        pool = Pool()
        Lang = pool.get('ir.lang')
        self.Report = Report
        self.company = company
        self.lang = Lang.get()
        # What has been formatted already
        self.labels, self.texts, self.choices = {}, {}, {}

    @property
    def _timezone(self):
        return self.company.timezone if self.company else None

    def get_context(self):
        "Return what the template uses"
        pool = Pool()
        User = pool.get('res.user')
        party = self.company.party if self.company else None
        address = party.address_get() if party else None
        return {
            'company_address': ' · '.join(filter(None, [
                        ', '.join((
                                address.full_address or '').splitlines())
                        if address else None,
                        *(f'{i.type_string} {i.code}'.strip()
                            for i in (party.identifiers if party else []))])),
            'printed': gettext('company_department.msg_report_printed',
                date=self.format(dt.datetime.now()),
                user=User(Transaction().user).rec_name,
                timezone=self._timezone or 'UTC'),
            'get_label': self.get_label,
            'get_text': self.get_text,
            'fields': self.fields,
            'listing': self.listing,
            }

    def fields(self, record, names):
        "Return the table of what the record has"
        return self._table('fields', [
                tag.tr([
                        (tag.th(label), self._cell(
                                text, colspan=3 if len(row) == 1 else 1))
                        for label, text in row])
                for row in self.get_rows(record, names)])

    def listing(self, records, names):
        "Return the table of the records, in columns that are not empty"
        names = self.get_columns(records, names)
        return self._table('list', [
                tag.thead(tag.tr([
                            tag.th(self.get_label(records[0], n))
                            for n in names])),
                tag.tbody([
                        tag.tr([
                                self._cell(self.get_text(r, n), class_=n)
                                for n in names])
                        for r in records])] if names else [])

    @classmethod
    def _table(cls, class_, content):
        return tag.table(content, class_=class_) if content else tag()

    @classmethod
    def _cell(cls, text, **attributes):
        # What is written in another language is not translated
        return tag.td(text, **{XML_NAMESPACE['lang']: ''}, **attributes)

    def get_label(self, record, name):
        "Return the name of what is printed of the record"
        key = (record.__name__, name)
        if key not in self.labels:
            if name in record._fields:
                self.labels[key] = record.__names__(name)['field']
            else:
                self.labels[key] = gettext(f'{self.messages}_{name}')
        return self.labels[key]

    def get_text(self, record, name):
        "Return the text of what is printed of the record"
        # Instances of the same record can have other values
        key = (record, id(record._values), name)
        if key not in self.texts:
            self.texts[key] = self.format(
                self._get_value(record, name), record, name)
        return self.texts[key]

    def _get_value(self, record, name):
        if name in record._fields:
            return getattr(record, name)
        return getattr(self, f'_get_{name}')(record)

    def get_rows(self, record, names):
        """Return the rows of couples of label and text of what the record has,
        two on a row unless they are long"""
        rows = []
        for name in names:
            if name not in record._fields and not hasattr(
                    self, f'_get_{name}'):
                # Of a module that is not activated
                continue
            if text := self.get_text(record, name):
                couple = (self.get_label(record, name), text)
                if len(text) > 40 or '\n' in text:
                    rows.append([couple, None])
                elif rows and len(rows[-1]) == 1:
                    rows[-1].append(couple)
                else:
                    rows.append([couple])
        return [[c for c in row if c] for row in rows]

    def get_columns(self, records, names):
        "Return the names of what any of the records has"
        return [
            n for n in names if any(self.get_text(r, n) for r in records)]

    def format(self, value, record=None, name=None):
        "Return the text of the value, of the field of the record if it is one"
        field = record._fields.get(name) if record else None
        if value is None or value in ('', ()):
            return ''
        elif field and field._type in {
                'boolean', 'selection', 'multiselection'}:
            key = (record.__name__, name, value)
            if key not in self.choices:
                self.choices[key] = self._format_choice(value, record, name)
            return self.choices[key]
        elif isinstance(value, Model):
            return value.rec_name
        elif isinstance(value, dt.datetime):
            return self.Report.format_datetime(
                value, self.lang, timezone=self._timezone)
        elif isinstance(value, dt.date):
            return self.Report.format_date(value, self.lang)
        elif isinstance(value, Decimal):
            if currency := getattr(field, 'currency', None):
                return self.lang.currency(
                    value, getattr(record, currency), grouping=True)
            return self.lang.format_number(value)
        return str(value)

    def _format_choice(self, value, record, name):
        if record._fields[name]._type == 'boolean':
            # SQLite has no booleans
            return gettext(
                'company_department.msg_yes' if value
                else 'company_department.msg_no')
        return record.__names__(name, record)['value']
