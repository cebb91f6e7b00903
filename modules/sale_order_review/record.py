# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
from collections import defaultdict

import dateutil.tz
from sql import Column

from trytond.i18n import gettext
from trytond.model import fields
from trytond.modules.company_department.report import Document, Texts
from trytond.pool import Pool
from trytond.transaction import Transaction, check_access, without_check_access


class Record(Document):
    """Print what has been recorded of orders

    Everything comes from the evidence, nothing from what is configured now.
    """
    _model = 'sale.sale'
    # Whether the content that was reviewed is printed
    _with_content = True

    @classmethod
    def check_access(cls, action, model, ids):
        pool = Pool()
        ModelAccess = pool.get('ir.model.access')
        super().check_access(action, model, ids)
        if Transaction().user:
            with check_access():
                ModelAccess.check('sale.review', 'read')

    @classmethod
    def _execute(cls, records, header, data, action):
        # Who reads the review reads all that was recorded of it
        with without_check_access():
            return super()._execute(records, header, data, action)

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        documents = []
        if records:
            documents = [
                cls._get_document(r)
                for r in records[0].__class__.browse(list(map(int, records)))]
        evidence = Evidence(cls, context['company'], documents)
        context.update(
            evidence.get_context(),
            documents=documents,
            with_content=cls._with_content)
        return context

    @classmethod
    def _get_document(cls, record):
        "Return what is printed of the record"
        sale = record if record.__name__ == 'sale.sale' else record.sale
        return {
            'sale': sale,
            'releases': [r for r in sale.releases if r.origin == sale],
            'requirements': [],
            'documents': [],
            'reviews': [],
            'amendments': [],
            'changes': [],
            'acknowledgements': [],
            }


class OrderRecord(Record):
    __name__ = 'sale.review.record'

    @classmethod
    def _get_document(cls, record):
        document = super()._get_document(record)
        document['requirements'] = _get_requirements(record)
        document['documents'] = document['sale'].processing_documents
        if record.__name__ == 'sale.review':
            document['reviews'] = [record]
        else:
            document['reviews'] = list(reversed(record.reviews))
            document['acknowledgements'] = [
                a for a in record.acknowledgements if a.origin == record]
        return document


class ContractRecord(Record):
    __name__ = 'sale.review.contract_record'
    _with_content = False

    @classmethod
    def _get_document(cls, record):
        document = super()._get_document(record)
        document['requirements'] = _get_requirements(record)
        document['documents'] = document['sale'].processing_documents
        if record.__name__ == 'sale.review':
            document['reviews'] = [record]
        else:
            # The last round
            document['reviews'] = list(record.reviews[:1])
        return document


class ChangeRecord(Record):
    __name__ = 'sale.review.change_record'
    _with_content = False

    @classmethod
    def _get_document(cls, record):
        document = super()._get_document(record)
        sale = document['sale']
        if record.__name__ == 'sale.amendment':
            document['amendments'] = [record]
        else:
            # If the module of the amendments is activated
            document['amendments'] = sorted(
                getattr(sale, 'amendments', []), key=lambda a: a.id)
            document['changes'] = sorted(
                sale.changes, key=lambda c: (c.at, c.id))
        document['releases'] = [
            r for r in sale.releases
            if r.origin != sale and record in {sale, r.origin}]
        document['acknowledgements'] = [
            a for a in sale.acknowledgements
            if record in {sale, a.origin}]
        return document


class Evidence(Texts):
    "What has been recorded of the documents, as texts in one language"
    messages = 'sale_order_review.msg_record'

    def __init__(self, Report, company, documents):
        super().__init__(Report, company)
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        self.sales = list({d['sale'] for d in documents})
        self.amendments = [a for d in documents for a in d['amendments']]
        self.reviews = [r for d in documents for r in [
                *d['reviews'],
                *(r for a in d['amendments'] for r in a.reviews)]]
        self.signoffs = Signoff.browse({
                g for r in self.reviews for s in r.signoffs
                for g in [s, s.carried_from] if g})
        self.related = self._read_related()
        self.attachments = self._read_attachments()
        self.changes = self._read_changes()
        self.confirmed = self._read_confirmed()
        self.authorities = self._read_authorities()
        self.names = self._read_names()
        self.effects = {r: self._read_effects(r) for r in self.reviews}
        self.contents = self._read_contents()

    def get_context(self):
        return {
            **super().get_context(),
            'get_note': self.get_note,
            'get_related': lambda signoff, name: self.related[signoff, name],
            'get_changes': lambda origin: self.changes[str(origin)],
            'get_effects': lambda review: self.effects[review],
            'get_content': lambda review: self.contents[review],
            'sale_fields': [
                'reference', 'party', 'sale_date', 'state', 'untaxed_amount',
                'total_amount', 'currency', 'revision', 'channel',
                'received_by', 'received_at', 'contract_date', 'entered_by',
                'entered_on', 'review_state', 'confirmed_by', 'confirmed_at',
                'evidence'],
            'review_fields': [
                'number', 'round', 'state', 'untaxed_amount', 'requested_by',
                'requested_at', 'entered_by', 'closed_by', 'closed_at',
                'asked_by', 'reason', 'effects', 'digest', 'evidence'],
            'signoff_fields': [
                'name', 'reason', 'stage', 'signatories', 'number',
                'segregated', 'aspects', 'working_days', 'pending_at',
                'deadline', 'closed_at', 'escalation', 'evidence'],
            'inquiry_fields': [
                'question', 'asked_of', 'department', 'person', 'means',
                'asked_by', 'asked_at', 'reply_due', 'reply', 'replied_with',
                'replied_by', 'replied_at', 'state', 'evidence'],
            'release_fields': [
                'reason', 'missing', 'released_by', 'released_at',
                'valid_until', 'state', 'used_at', 'deadline', 'review',
                'caught_up_at', 'digest', 'evidence'],
            'change_columns': [
                'line_name', 'field', 'old', 'new', 'reason', 'asked_by',
                'by', 'at', 'revision'],
            }

    def _get_value(self, record, name):
        if (record.__name__, name) == ('sale.review.signoff', 'department'):
            return self.get_department(record)
        return super()._get_value(record, name)

    # What is not a field of what is printed

    def _get_confirmed_at(self, sale):
        return self.confirmed.get(str(sale))

    def _get_evidence(self, record):
        records = [record]
        if carried_from := getattr(record, 'carried_from', None):
            records.append(carried_from)
        return '\n'.join(n for r in records for n in self.attachments[str(r)])

    def _get_status(self, requirement):
        message = 'written'
        if requirement.oral:
            if requirement.confirmed_at:
                message = 'confirmed'
            elif requirement in requirement.sale.requirements:
                message = 'oral'
            else:
                # So is its confirmation
                message = 'deleted'
        return gettext(f'sale_order_review.msg_record_{message}')

    def _get_signed_by(self, signoff):
        return ', '.join(
            d.signatory for d in self.related[
                signoff.carried_from or signoff, 'decisions'])

    def _get_answer(self, answer):
        if answer.answer_type == 'measure':
            return answer.value
        return self.get_text(answer, answer.answer_type)

    def _get_authority(self, decision):
        return self.authorities[decision]

    def get_department(self, signoff):
        "Return the name that the department of the sign-off had"
        return self.names[signoff.review].get(
            signoff.department.__name__, {}).get(
            signoff.department.id, signoff.department.rec_name)

    def get_note(self, signoff):
        "Return the text of why nobody decided the sign-off"
        if signoff.state == 'carried':
            return gettext('sale_order_review.msg_record_carried',
                review=signoff.carried_from.review.rec_name,
                round=signoff.carried_from.review.round)
        elif signoff.state == 'cancelled':
            departments = [
                self.get_department(s) for s in signoff.review.signoffs
                if s.state == 'returned']
            if departments:
                return gettext('sale_order_review.msg_record_returned',
                    departments=', '.join(departments))
            return gettext('sale_order_review.msg_record_withdrawn')
        return ''

    # What is read of all of it at once

    def _read_related(self):
        """Return by sign-off and name of field the list of the records.

        The field gives each sign-off instances of its own, which would be read
        for each."""
        pool = Pool()
        Signoff = pool.get('sale.review.signoff')
        related = {}
        for name in ['answers', 'decisions', 'inquiries', 'conditions']:
            ids = {s: [r.id for r in getattr(s, name)] for s in self.signoffs}
            records = {r.id: r for r in Signoff._fields[name].get_target(
                    ).browse([i for s_ids in ids.values() for i in s_ids])}
            for signoff, s_ids in ids.items():
                related[signoff, name] = [records[i] for i in s_ids]
        return related

    def _read_attachments(self):
        "Return by resource the names of its attachments"
        pool = Pool()
        Attachment = pool.get('ir.attachment')
        resources = [
            *self.sales, *self.amendments, *self.reviews, *self.signoffs,
            *(r for s in self.sales for r in s.releases),
            *(r for s in self.sales for r in s.requirements)]
        for records in self.related.values():
            resources.extend(records)
        names = defaultdict(list)
        for attachment in Attachment.search([
                    ('resource', 'in', list(map(str, resources))),
                    ], order=[('id', 'ASC')]):
            names[str(attachment.resource)].append(attachment.name)
        return names

    def _read_changes(self):
        "Return by origin the changes of the sales"
        pool = Pool()
        Change = pool.get('sale.change')
        changes = defaultdict(list)
        for change in Change.search([
                    ('sale', 'in', [s.id for s in self.sales]),
                    ], order=[('at', 'ASC'), ('id', 'ASC')]):
            changes[str(change.origin)].append(change)
        return changes

    def _read_confirmed(self):
        "Return by sale when it was confirmed the last time"
        pool = Pool()
        Log = pool.get('ir.model.log')
        return {
            str(l.resource): l.create_date for l in Log.search([
                    ('resource', 'in', [
                            str(s) for s in self.sales
                            if s.state not in {'draft', 'quotation'}]),
                    ('event', '=', 'transition'),
                    ('target', '=', 'state:confirmed'),
                    ], order=[('create_date', 'ASC'), ('id', 'ASC')])}

    def _read_names(self):
        """Return by review the names of records by model and id, as they were
        when it was requested"""
        pool = Pool()
        Change = pool.get('sale.change')
        contents = []
        for review in self.reviews:
            texts = [getattr(review, 'before', None)]
            if texts[0] or self.Report._with_content:
                texts.append(review.snapshot)
            contents.append([json.loads(t) for t in texts if t])
        names = {}
        for review, current in zip(self.reviews, Change.get_names(contents)):
            # Those of today for what had been requested before they were kept
            for model, values in json.loads(review.names or '{}').items():
                current.setdefault(model, {}).update(
                    (int(i), n) for i, n in values.items())
            names[review] = current
        return names

    def _read_effects(self, review):
        "Return the lines of what the amendment changes"
        pool = Pool()
        Change = pool.get('sale.change')
        if not getattr(review, 'before', None):
            return []
        return [
            [v.get('line_name') or '', v['field'] or '',
                v['old'] or '', v['new'] or '']
            for v in Change.get_values(
                json.loads(review.before), json.loads(review.snapshot),
                self.names[review])]

    def _read_contents(self):
        """Return by review the couples of the name of a model and the rows of
        couples of label and text of what was reviewed of it"""
        pool = Pool()
        Change = pool.get('sale.change')
        if not self.Report._with_content:
            return {}
        contents = {}
        for review in self.reviews:
            names = self.names[review]
            differences = Change.get_content(json.loads(review.snapshot))
            rows = defaultdict(lambda: defaultdict(list))
            for Reviewed, id_, _, name, _, value in differences:
                field = Reviewed._fields[name]
                if field._type == 'datetime':
                    text = self.format(dt.datetime.fromisoformat(value))
                else:
                    text = Change._format(names, Reviewed, name, value)
                rows[Reviewed][id_].append(
                    (Reviewed.__names__(name)['field'], text))
            contents[review] = [
                (R.__names__()['model'], list(lines.values()))
                # The header first
                for R, lines in sorted(
                    rows.items(), key=lambda i: None not in i[1])]
        return contents

    def _read_authorities(self):
        """Return by decision the text of what allowed the person to sign, as
        it stood when it was given"""
        pool = Pool()
        Delegation = pool.get('company.department.delegation')
        Department = pool.get('company.department')
        Member = pool.get('company.department.member')
        decisions = [
            d for s in self.signoffs for d in self.related[s, 'decisions']]
        if not decisions:
            return {}
        departments = list({s.department.id for s in self.signoffs})
        substitutes = list({
                d.employee.id for d in decisions if d.on_behalf_of})
        heads = _read_versions(Department, ['head'], 'id', departments)
        members = _read_versions(
            Member, ['department', 'employee', 'start_date', 'end_date'],
            'department', departments)
        delegations = _read_versions(
            Delegation, [
                'department', 'employee', 'substitute', 'start_date',
                'end_date'],
            'substitute', substitutes)
        timezone = dateutil.tz.gettz(self.company.timezone or 'UTC')
        authorities = {}
        for decision in decisions:
            # It has fractions of a second, as the history
            at = decision.create_date
            date = decision.decided_at.replace(
                tzinfo=dateutil.tz.tzutc()).astimezone(timezone).date()
            department = decision.signoff.department.id
            principal = decision.on_behalf_of or decision.employee
            texts = []
            for delegation in _at(delegations, at, date):
                if (decision.on_behalf_of
                        and delegation['substitute'] == decision.employee.id
                        and delegation['employee'] == principal.id
                        and delegation['department'] in {None, department}):
                    texts.append(gettext(
                            'sale_order_review.msg_record_substitute',
                            start=self.format(delegation['start_date']),
                            end=self.format(delegation['end_date'])))
            if any(
                    h['id'] == department and h['head'] == principal.id
                    for h in _at(heads, at)):
                texts.append(gettext('sale_order_review.msg_record_head'))
            elif any(
                    m['department'] == department
                    and m['employee'] == principal.id
                    for m in _at(members, at, date)):
                texts.append(gettext('sale_order_review.msg_record_member'))
            authorities[decision] = ', '.join(texts)
        return authorities


def _get_requirements(record):
    "Return by kind the requirements of the sale, or those of the review"
    pool = Pool()
    Requirement = pool.get('sale.requirement')
    kinds = [k for k, _ in Requirement.kind.selection]
    if record.__name__ == 'sale.sale':
        requirements = record.requirements
    else:
        current = {r.id: r for r in record.sale.requirements}
        requirements = []
        for id_, values in json.loads(record.snapshot).get(
                Requirement.__name__, {}).items():
            requirement = current.get(int(id_))
            # Only what has not changed since has been confirmed as it is
            if not requirement or any(
                    getattr(requirement, n) != v for n, v in values.items()):
                requirement = Requirement(
                    int(id_), sale=record.sale,
                    **values, **dict.fromkeys([
                            'confirmed_how', 'confirmed_with', 'confirmed_by',
                            'confirmed_at']))
            requirements.append(requirement)
    return sorted(requirements, key=lambda r: (kinds.index(r.kind), r.id))


def _read_versions(Model, names, column, ids):
    """Return by id the versions of the records whose column was one of the
    ids, as couples of the time and the values"""
    cursor = Transaction().connection.cursor()
    table = Model.__table_history__()
    other = Model.__table_history__()
    versions = defaultdict(list)
    if not ids:
        return versions
    columns = [
        Column(table, n)
        for n in ['id', 'create_date', 'write_date', *names]]
    cursor.execute(*table.select(*columns,
            where=table.id.in_(other.select(
                    other.id,
                    where=fields.SQL_OPERATORS['in'](
                        Column(other, column), ids))),
            order_by=[Column(table, '__id').asc]))
    for id_, created, written, *values in cursor:
        versions[id_].append(
            (written or created, {'id': id_, **dict(zip(names, values))}))
    return versions


def _at(versions, at, date=None):
    "Yield the values at the time, of the periods only those with the date"
    for id_versions in versions.values():
        values = None
        for time, version in id_versions:
            if time <= at:
                values = version
        if values and (date is None or (
                    (values['start_date'] or dt.date.min) <= date
                    <= (values['end_date'] or dt.date.max))):
            yield values
