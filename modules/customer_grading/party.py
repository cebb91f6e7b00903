# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.model import fields
from trytond.modules.party.exceptions import EraseError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import Transaction, without_check_access

from .exceptions import ReplaceFileError
from .file import recording


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    customer_file = fields.Function(
        fields.Many2One(
            'customer.file', "Customer File",
            states={
                'invisible': ~Eval('customer_file'),
                }),
        'get_customer_file', searcher='search_customer_file')
    customer_manager = fields.Function(
        fields.Many2One(
            'company.employee', "Customer Manager",
            states={
                'invisible': ~Eval('customer_manager'),
                },
            help="Who looks after the customer."),
        'get_customer_file')

    @classmethod
    def get_customer_file(cls, parties, names):
        pool = Pool()
        File = pool.get('customer.file')
        result = {n: dict.fromkeys([p.id for p in parties]) for n in names}
        company = Transaction().context.get('company')
        if company is None:
            return result
        files = File.search_readable([
                ('company', '=', company),
                ('party', 'in', [p.id for p in parties]),
                ])
        for file in files:
            if 'customer_file' in result:
                result['customer_file'][file.party.id] = file.id
            if 'customer_manager' in result:
                result['customer_manager'][file.party.id] = (
                    file.manager.id if file.manager else None)
        return result

    @classmethod
    def search_customer_file(cls, name, clause):
        pool = Pool()
        File = pool.get('customer.file')
        return File.search_from(cls, 'id', name, clause)


class Replace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('customer.credit.limit.change', 'party'),
            ('customer.file', 'party'),
            ('customer.grade', 'party'),
            ('customer.grade.override', 'party'),
            ('customer.grading.result', 'party'),
            ('customer.grading.run-party.party', 'party'),
            ('customer.intelligence', 'party'),
            ('customer.intelligence', 'reporter_party'),
            ('customer.visit', 'contact'),
            ('sale.credit.hold', 'party'),
            ]

    @without_check_access
    def check_files(self):
        """Delete the empty file of two that a company would have

        Raise ReplaceFileError if none is."""
        pool = Pool()
        Event = pool.get('customer.file.event')
        File = pool.get('customer.file')
        source, destination = self.ask.source, self.ask.destination
        kept = {f.company: f for f in File.search([
                    ('party', '=', destination.id)])}
        doubles = [
            (f, kept[f.company])
            for f in File.search([('party', '=', source.id)])
            if f.company in kept]
        used = File.get_used([f for files in doubles for f in files])
        blocked = [c for c in doubles if used.issuperset(c)]
        if blocked:
            raise ReplaceFileError(gettext(
                    'customer_grading.msg_file_replace',
                    source=source.rec_name,
                    destination=destination.rec_name,
                    companies=', '.join(
                        f.company.rec_name for f, _ in blocked)))
        for file, other in doubles:
            empty, kept = (file, other) if file not in used else (other, file)
            with recording('_customer_file'):
                Event.record([kept], 'replace', {
                        kept: gettext(
                            'customer_grading.msg_file_replaced',
                            source=source.rec_name,
                            destination=destination.rec_name)})
            File.delete([empty])

    def transition_replace(self):
        pool = Pool()
        Change = pool.get('customer.credit.limit.change')
        Grade = pool.get('customer.grade')
        self.check_files()
        Grade.merge(self.ask.source, self.ask.destination)
        result = super().transition_replace()
        Change.supersede_older([self.ask.destination])
        return result


class Erase(metaclass=PoolMeta):
    __name__ = 'party.erase'

    def check_erase_company(self, party, company):
        pool = Pool()
        File = pool.get('customer.file')
        super().check_erase_company(party, company)
        file = File.get_files(company, [party]).get(party.id)
        if file and file.state == 'approved':
            raise EraseError(gettext(
                    'customer_grading.msg_file_erase_approved',
                    party=party.rec_name,
                    company=company.rec_name))
        if file and file.open_amount:
            raise EraseError(gettext(
                    'customer_grading.msg_file_erase_open',
                    party=party.rec_name,
                    company=company.rec_name))

    def to_erase(self, party_id):
        pool = Pool()
        Answer = pool.get('customer.survey.answer')
        Assessment = pool.get('customer.assessment')
        Change = pool.get('customer.credit.limit.change')
        Event = pool.get('customer.file.event')
        File = pool.get('customer.file')
        Hold = pool.get('sale.credit.hold')
        Intelligence = pool.get('customer.intelligence')
        IntelligenceAction = pool.get('customer.intelligence.action')
        Investigation = pool.get('customer.credit.investigation')
        Measure = pool.get('customer.survey.measure')
        Override = pool.get('customer.grade.override')
        Survey = pool.get('customer.survey')
        Visit = pool.get('customer.visit')
        VisitAction = pool.get('customer.visit.action')
        file = ('file.party', '=', party_id)
        return super().to_erase(party_id) + [
            (File, [('party', '=', party_id)], True,
                ['needs', 'preferences', 'contact', 'reason',
                    'buying_power'],
                [None] * 5),
            (Event, [file], True,
                ['reason'],
                [None]),
            (Investigation, [file], True,
                ['background', 'sources', 'conclusion', 'external_agency'],
                ['****', '****', '****', None]),
            (Override, [('party', '=', party_id)], True,
                ['reason', 'closing_reason'],
                ['****', None]),
            (Hold, ['OR',
                    ('party', '=', party_id),
                    ('sale.party', '=', party_id),
                    ], True,
                ['reasons', 'reason'],
                ['****', None]),
            (Change, [('party', '=', party_id)], True,
                ['reason'],
                ['****']),
            (Visit, ['OR', file, ('contact', '=', party_id)], True,
                ['purpose', 'contacts', 'report', 'cancel_reason'],
                [None] * 4),
            (VisitAction, ['OR',
                    ('visit.file.party', '=', party_id),
                    ('visit.contact', '=', party_id),
                    ], True,
                ['name', 'note'],
                ['****', None]),
            (Survey, [file], True,
                ['email', 'token', 'answered_with', 'analysis'],
                [None] * 4),
            (Answer, [('survey.file.party', '=', party_id)], True,
                ['text'],
                [None]),
            (Measure, [('survey.file.party', '=', party_id)], True,
                ['name', 'note'],
                ['****', None]),
            (Assessment, [file], True,
                ['remark'],
                [None]),
            # Not in one, which would leave out those without file
            *((Intelligence, domain, True,
                ['subject', 'text', 'opinion', 'outcome'],
                ['****', '****', None, None])
                for domain in [[file], ['OR',
                        ('party', '=', party_id),
                        ('reporter_party', '=', party_id),
                        ]]),
            (Intelligence, [('reporter_party', '=', party_id)], True,
                ['reporter_name'],
                [None]),
            *((IntelligenceAction, domain, True,
                ['name', 'note'],
                ['****', None])
                for domain in [
                    [('intelligence.file.party', '=', party_id)], ['OR',
                        ('intelligence.party', '=', party_id),
                        ('intelligence.reporter_party', '=', party_id),
                        ]]),
            ]
