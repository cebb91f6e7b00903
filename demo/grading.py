# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import random
from collections import defaultdict
from decimal import Decimal

from dateutil.relativedelta import relativedelta

from trytond.pool import Pool

from .orders import Order, click
from .tools import act, find, progress, ref, run, set_, today

INDUSTRIES = [
    ('MAR', "Marine and Offshore"),
    ('MFG', "Manufacturing"),
    ('FOOD', "Food and Fish"),
    ('PUB', "Public Transport and Parking"),
    ('HEALTH', "Health Care"),
    ('HOTEL', "Hotels and Retail"),
    ('TRADE', "Trade and Distribution"),
    ]

# name, manager, industry, size, buying power, telephone, contact, external
# rating, points of the assessment
FILES = [
    ("Havbris Offshore AS", 'sales', 'MAR', 'large', 6_000_000,
        '+47 51 90 11 20', "Tor Eide, purchasing manager", 86, 88),
    ("Fjordlinja Ferger AS", 'sales', 'MAR', 'large', 8_000_000,
        '+47 55 30 14 00', "Silje Nes, technical director", 90, 84),
    ("Polarmat Foods AS", 'sales', 'FOOD', 'large', 5_000_000,
        '+47 75 50 22 10', "Odd Hansen, plant manager", 78, 76),
    ("Varde Elektro AS", 'sales', 'TRADE', 'medium', 1_200_000,
        '+47 22 15 08 70', "Mona Lie, purchasing", 74, 62),
    ("Granli Sagbruk AS", 'sales', 'MFG', 'small', 400_000,
        '+47 62 41 33 00', "Arne Granli, owner", 55, 48),
    ("Lofotfisk Eksport AS", 'sales', 'FOOD', 'small', 300_000,
        '+47 76 07 12 12', "Leif Dahl, general manager", 28, 30),
    ("Midnattsol Hotell AS", 'sales2', 'HOTEL', 'small', 350_000,
        '+47 77 61 20 00', "Ellen Vang, hotel manager", 52, 44),
    ("Trønder Maskin AS", 'sales', 'MFG', 'medium', 900_000,
        '+47 73 80 44 10', "Kåre Sund, production manager", 66, 58),
    ("Sørlandet Sykehus Innkjøp", 'sales', 'HEALTH', 'large', 4_000_000,
        '+47 38 03 81 00', "Randi Ås, framework agreements", 95, 70),
    ("Tromsø Parkering KF", 'sales2', 'PUB', 'medium', 1_500_000,
        '+47 77 60 27 00', "Stian Moen, operations", 92, 60),
    ("Vestland Kollektiv", 'sales2', 'PUB', 'large', 7_000_000,
        '+47 55 95 88 00', "Guro Sæle, project manager", 94, 82),
    ("Jærbu Robotikk AS", 'sales', 'MFG', 'small', 2_000_000,
        '+47 51 48 60 20', "Marius Jær, founder", 58, 72),
    ("Skärgård Marin AB", 'sales2', 'TRADE', 'medium', 2_500_000,
        '+46 31 704 12 30', "Karin Berg, purchasing", 80, 68),
    ("Norrsken Automation AB", 'sales2', 'MFG', 'medium', 1_800_000,
        '+46 920 22 60 10', "Lars Ek, head of automation", 72, 64),
    ("Øresund Displays A/S", 'sales2', 'TRADE', 'large', 5_000_000,
        '+45 33 12 40 50', "Mette Holm, category manager", 84, 80),
    ("Saimaa Paperikone Oy", 'sales2', 'MFG', 'large', 3_000_000,
        '+358 5 450 7100', "Jukka Laine, electrical design", 82, 66),
    ("Elbe Anlagenbau GmbH", 'sales2', 'MFG', 'large', 9_000_000,
        '+49 40 36 80 900', "Anja Petersen, project purchasing", 88, 86),
    ("Schwarzwald Messtechnik GmbH", 'sales2', 'MFG', 'medium', 1_600_000,
        '+49 761 208 5500', "Dr. Uwe Faller, development", 76, 62),
    ("Polder Pompen B.V.", 'sales2', 'MFG', 'small', 700_000,
        '+31 10 412 6070', "Sander Vos, service manager", 68, 50),
    ("Atelier des Quais SARL", 'sales', 'HOTEL', 'micro', 150_000,
        '+33 2 40 69 12 00', "Claire Morel, architect", None, 40),
    ("Thames Kiosk Systems Ltd", 'sales2', 'TRADE', 'medium', 2_200_000,
        '+44 20 7946 0120', "James Whitby, operations", 60, 56),
    ("Great Lakes Terminals Inc.", 'sales2', 'PUB', 'large', 4_500_000,
        '+1 218 722 5550', "Nancy Olson, visitor services", 70, None),
    ("Ningbo Haitian Port Equipment Co., Ltd.", 'sales', 'MAR', 'large',
        8_500_000, '+86 574 8769 1800', "Wang Lei, supply chain", 83, 85),
    ("Hokkaido Ferry K.K.", 'sales2', 'MAR', 'large', 3_500_000,
        '+81 11 231 4100', "Sato Kenji, fleet engineering", None, None),
    ]
KEY = {
    "Havbris Offshore AS", "Fjordlinja Ferger AS", "Polarmat Foods AS",
    "Elbe Anlagenbau GmbH", "Ningbo Haitian Port Equipment Co., Ltd."}
# Under investigation, and investigated but not approved yet
NEW = "Hokkaido Ferry K.K."
INVESTIGATED = {"Great Lakes Terminals Inc.", "Atelier des Quais SARL"}
SUSPENDED = "Lofotfisk Eksport AS"
# The days since they had to be verified again
UNVERIFIED = {
    "Granli Sagbruk AS": 40,
    "Polder Pompen B.V.": 16,
    "Trønder Maskin AS": 3,
    }
NEEDS = {
    'MAR': "Panels that are read in the sun and stand salt water.",
    'MFG': "Panels for machines, the same type for ten years.",
    'FOOD': "Housings that are cleaned with hot water.",
    'PUB': "Outdoor displays that stand vandalism, with service on site.",
    'HEALTH': "Touch screens that stand disinfectants.",
    'HOTEL': "Small numbers, quickly, in a colour that fits.",
    'TRADE': "Short delivery times and neutral packaging.",
    }

# customer, planned so many days from now, kind, purpose, report if it is done
VISITS = [
    ("Havbris Offshore AS", -84, 'visit', "Needs of the next year",
        "Two platforms are to be refitted, about 40 panels. They ask for a "
        "longer warranty."),
    ("Fjordlinja Ferger AS", -47, 'visit', "Displays for the quays",
        "Quay 2 comes first, quay 3 next spring. They are content with the "
        "service."),
    ("Vestland Kollektiv", -38, 'visit', "Ticket kiosks",
        "The kiosks must accept the new travel card."),
    ("Elbe Anlagenbau GmbH", -20, 'event', "Trade fair in Hamburg",
        "Met the project purchasing. Prices matter less than the dates."),
    ("Polarmat Foods AS", -9, 'visit', "Line control in hall 3", None),
    ("Saimaa Paperikone Oy", -3, 'telephone', "Questions of the offer", None),
    ("Øresund Displays A/S", 6, 'visit', "Agreement of the next year", None),
    ("Ningbo Haitian Port Equipment Co., Ltd.", 19, 'visit',
        "Acceptance of the crane panels", None),
    ("Havbris Offshore AS", 33, 'return', "Warranty and spare parts", None),
    ]


def create():
    "The customers with their files, grades, credit and care"
    for create in progress([
                create_files, create_assessments, create_care,
                create_schemes, create_first_grades, reassess,
                create_policies, create_grades, create_limits,
                create_override, create_held, create_waiting_run]):
        create()


def ago(days):
    return today() - dt.timedelta(days=days)


def moment(day, name=''):
    "A moment of the working hours of the day"
    return dt.datetime.combine(day, dt.time(7)) + dt.timedelta(
        minutes=random.Random(f'{day}{name}').randrange(480))


def employee(login):
    return find('res.user', login=login).employee


def get_files(names):
    File = Pool().get('customer.file')
    return File.search([('party.name', 'in', list(names))])


def get_file(name):
    return get_files([name])[0]


def by_manager(names):
    managers = {f[0]: f[1] for f in FILES}
    result = defaultdict(list)
    for name in names:
        result[managers[name]].append(name)
    return result.items()


# Files


def create_files():
    run(create_industries)
    run(create_telephones)
    for login in ['sales', 'sales2']:
        act(login, enter_files, [f for f in FILES if f[1] == login])
    names = [f[0] for f in FILES]
    act('finance2', investigate, names)
    reached = [n for n in names if n != NEW and n not in INVESTIGATED]
    act('finance', press, 'customer.file', get_ids(reached), 'approve')
    for login, names_ in by_manager(reached):
        act(login, press, 'customer.file', get_ids(names_), 'verify')
    run(backdate_files)
    act('finance', suspend, SUSPENDED,
        "Nothing has been paid for months, three reminders stayed without "
        "answer.")


def create_telephones():
    "Sales does not keep the parties"
    Pool().get('party.contact_mechanism').create([{
                'party': find('party.party', name=f[0]).id,
                'type': 'phone',
                'value': f[5],
                } for f in FILES])


def create_industries():
    Pool().get('customer.industry').create([
            {'sequence': i, 'code': code, 'name': name}
            for i, (code, name) in enumerate(INDUSTRIES, 1)])


def enter_files(files):
    File = Pool().get('customer.file')
    to_create = []
    for name, login, industry, size, power, _, contact, _, _ in files:
        to_create.append({
                'party': find('party.party', name=name).id,
                'kind': 'key' if name in KEY else 'regular',
                'industry': find('customer.industry', code=industry).id,
                'size': size,
                'buying_power': Decimal(power),
                'contact': contact,
                'needs': NEEDS[industry],
                'preferences': "Answers by e-mail, drawings as PDF.",
                'scope': 'industry' if industry in {'MAR', 'PUB'}
                else 'general',
                'managers': [('create', [{
                                'employee': employee(login).id,
                                'start_date': ago(170),
                                }])],
                })
    File.create(to_create)


def get_ids(names):
    return run(lambda: [f.id for f in get_files(names)])


def press(model, ids, button):
    "Click on the button of the records"
    Model = Pool().get(model)
    getattr(Model, button)(Model.browse(ids))


def investigate(names):
    pool = Pool()
    File = pool.get('customer.file')
    Investigation = pool.get('customer.credit.investigation')
    ratings = {f[0]: f[7] for f in FILES}
    powers = {f[0]: f[4] for f in FILES}
    to_create = []
    for file in get_files(names):
        name = file.party.name
        rating = ratings[name]
        recent = name == NEW or name in INVESTIGATED
        date = ago(random.Random(name).randrange(2, 9) if recent
            else random.Random(name).randrange(120, 168))
        values = {
            'file': file.id,
            'date': date,
            'investigator': employee('finance2').id,
            'background': "Registered, no entry in the list of insolvencies. "
            "The owners are known.",
            'sources': "Company register, annual accounts, bank reference",
            'external_rating': (
                Decimal(rating) if rating is not None else None),
            'external_agency': (
                "Nordkreditt" if rating is not None else None),
            'recommended_limit': round(Decimal(powers[name]) / 4, -4),
            }
        if name != NEW:
            values.update({
                    'conclusion': (
                        "Only against payment in advance."
                        if rating is not None and rating < 40
                        else "Credit within the limit that is recommended."),
                    'valid_until': date + relativedelta(years=1),
                    })
        to_create.append(values)
    investigations = Investigation.create(to_create)
    done = [i for i in investigations if i.file.party.name != NEW]
    Investigation.do(done)
    File.investigate([i.file for i in done])


def backdate_files():
    for file in get_files([f[0] for f in FILES]):
        name = file.party.name
        for investigation in file.investigations:
            if investigation.done_at:
                set_(investigation,
                    done_at=moment(investigation.date, name))
                day = investigation.date
        if file.state == 'draft':
            continue
        at = moment(day + dt.timedelta(days=1), name)
        moments = {'investigate': at}
        values = {'investigated_at': at}
        if file.approved_at:
            moments['approve'] = at + dt.timedelta(days=3)
            late = UNVERIFIED.get(name)
            verified = day + dt.timedelta(days=5) if late else ago(
                random.Random(name).randrange(20, 110))
            moments['verify'] = moment(verified, name)
            values.update({
                    'approved_at': moments['approve'],
                    'verified_on': verified,
                    'next_verification': ago(late) if late
                    else verified + relativedelta(years=1),
                    })
        set_(file, **values)
        for event in file.events:
            set_(event, at=moments[event.kind])


def suspend(name, reason):
    File = Pool().get('customer.file')
    file = get_file(name)
    File.write([file], {'reason': reason})
    File.suspend([file])


# Care


def create_assessments():
    points = {f[0]: f[8] for f in FILES if f[8] is not None}
    for login, names in by_manager(points):
        act(login, assess, {n: points[n] for n in names}, ago(95))


def assess(points, date, remark=None):
    Assessment = Pool().get('customer.assessment')
    to_create = []
    for name, mean in points.items():
        chance = random.Random(name)
        to_create.append({
                'file': get_file(name).id,
                'assessed_on': date,
                'remark': remark,
                **{criterion: max(0, min(
                            100, mean + 5 * chance.randrange(-2, 4)))
                    for criterion in [
                        'industry', 'size', 'buying_power', 'demand',
                        'stability', 'loyalty']},
                })
    Assessment.do(Assessment.create(to_create))


def reassess():
    "Two customers do better than in the last quarter, and two worse"
    act('sales2', assess, {"Norrsken Automation AB": 84}, ago(12),
        "The paint shop is the first of three that they build.")
    act('sales2', assess, {"Skärgård Marin AB": 85}, ago(8),
        "They took over a competitor.")
    act('sales', assess, {"Granli Sagbruk AS": 25}, ago(5),
        "Half of the saw mill stands still.")
    act('sales', assess, {"Varde Elektro AS": 5}, ago(3),
        "They buy from the competitor since spring.")


def create_care():
    for login, names in by_manager({v[0] for v in VISITS}):
        act(login, visit, [v for v in VISITS if v[0] in names])
    act('sales2', survey, "Skärgård Marin AB", [5, 4, 5, 4, 3, 4],
        "They praise the people and wait too long for spare parts.")
    act('sales', survey, "Havbris Offshore AS")
    act('sales', report_intelligence)
    act('saleshead', evaluate_intelligence)
    act('saleshead', create_complaint_type)
    act('sales2', complain)


def visit(visits):
    Visit = Pool().get('customer.visit')
    done = []
    for name, days, kind, purpose, report in visits:
        file = get_file(name)
        date = today() + dt.timedelta(days=days)
        record, = Visit.create([{
                    'file': file.id,
                    'kind': kind,
                    'planned_date': date,
                    'date': date if report else None,
                    'employee': file.manager.id,
                    'contacts': file.contact.split(',')[0],
                    'purpose': purpose,
                    'report': report,
                    }])
        if report:
            done.append(record)
    Visit.do(done)


def survey(name, ratings=None, analysis=None):
    "Ask the customer, by telephone if it has answered"
    pool = Pool()
    Answer = pool.get('customer.survey.answer')
    Survey = pool.get('customer.survey')
    record, = Survey.create([{
                'file': get_file(name).id,
                'questionnaire': ref(
                    'customer_grading.questionnaire_satisfaction'),
                'means': 'telephone' if ratings else 'link',
                'employee': get_file(name).manager.id,
                'due_date': today() + dt.timedelta(days=-3 if ratings else 11),
                }])
    Survey.ask([record])
    if not ratings:
        return
    ratings = iter(ratings)
    for answer in record.answers:
        if answer.type == 'rating_5':
            Answer.write([answer], {'rating': next(ratings)})
        elif answer.type == 'rating_10':
            Answer.write([answer], {'rating': 9})
        elif answer.type == 'boolean':
            Answer.write([answer], {'boolean': 'yes'})
        else:
            Answer.write([answer], {
                    'text': "Spare parts should come within a week."})
    Survey.answer([record])
    Survey.write([record], {
            'analysis': analysis,
            'measures': [('create', [{
                            'name': "Keep the spare parts of the bridge "
                            "screens in stock",
                            'employee': employee('orderdesk').id,
                            'due_date': today() + dt.timedelta(days=20),
                            }])],
            })
    Survey.close([record])


def report_intelligence():
    Pool().get('customer.intelligence').create([{
                'file': get_file("Elbe Anlagenbau GmbH").id,
                'party': get_file("Elbe Anlagenbau GmbH").party.id,
                'kind': 'tender',
                'subject': "Tender for the locks of the canal",
                'text': "Their project purchasing told at the trade fair that "
                "90 operator panels are put out to tender in spring.",
                'reported_on': ago(19),
                }])


def evaluate_intelligence():
    Intelligence = Pool().get('customer.intelligence')
    records = Intelligence.search([])
    Intelligence.write(records, {
            'value': 'high',
            'opinion': "We have the panel that they need, and a reference.",
            })
    Intelligence.evaluate(records)
    Intelligence.accept(records)
    Intelligence.write(records, {
            'reward': Decimal(5_000),
            'actions': [('create', [{
                            'name': "Ask to be invited to the tender",
                            'employee': employee('sales2').id,
                            'due_date': today() + dt.timedelta(days=14),
                            }])],
            })


def create_complaint_type():
    pool = Pool()
    pool.get('sale.complaint.type').create([{
                'name': "Order",
                'origin': find('ir.model', name='sale.sale').id,
                }])


def complain():
    pool = Pool()
    Complaint = pool.get('sale.complaint')
    Sale = pool.get('sale.sale')
    party = find('party.party', name="Midnattsol Hotell AS")
    sale = Sale.search([
            ('party', '=', party.id),
            ('state', 'in', ['processing', 'done']),
            ], limit=1)[0]
    complaint, = Complaint.create([{
                'customer': party.id,
                'date': ago(16),
                'type': find('sale.complaint.type', name="Order").id,
                'origin': str(sale),
                'description': "Two of the screens flicker.",
                'severity': 'major',
                'cause': 'product',
                'cause_analysis': "A batch of power supplies was bad.",
                'cause_department': find('company.department', code='QA').id,
                'remedy': "Both screens are replaced.",
                'preventions': [('create', [{
                                'name': "Test each batch of power supplies",
                                'employee': employee('quality').id,
                                'due_date': today() + dt.timedelta(days=9),
                                }])],
                'customer_informed_on': ago(14),
                'customer_informed_by': employee('sales2').id,
                'customer_informed_means': 'telephone',
                }])
    Complaint.wait([complaint])


# Grades


def create_schemes():
    run(create_sequence)
    act('saleshead', copy_schemes)


def create_sequence():
    Sequence = Pool().get('ir.sequence')
    Sequence.write([Sequence(ref('customer_grading.sequence_run'))], {
            'prefix': 'GR',
            'padding': 4,
            })


def copy_schemes():
    """Make the schemes of the company out of those that are shipped

    Its orders are not older than half a year, which is short for the years of
    cooperation that the shipped ones expect."""
    pool = Pool()
    Band = pool.get('customer.grading.band')
    Criterion = pool.get('customer.grading.criterion')
    Scheme = pool.get('customer.grading.scheme')
    schemes = Scheme.copy([
            Scheme(ref(f'customer_grading.scheme_{axis}'))
            for axis in ['class', 'level', 'credit']])
    _, level, credit = schemes
    Scheme.write(schemes, {'window': 6})
    Scheme.write([credit], {'new_customer_months': 1})
    for criterion in Criterion.search([('scheme', 'in', [level, credit])]):
        if criterion.metric == 'active_months':
            Criterion.write([criterion], {'maximum': Decimal(3)})
        elif criterion.metric == 'customer_years':
            bands = list(criterion.bands)
            ends = [Decimal('0.1'), Decimal('0.2'), Decimal('0.3')]
            Band.delete(bands[len(ends) + 1:])
            args = []
            for i, band in enumerate(bands[:len(ends) + 1]):
                args.extend(([band], {
                            'minimum': ends[i - 1] if i else None,
                            'maximum': ends[i] if i < len(ends) else None,
                            }))
            Band.write(*args)
    Scheme.publish(schemes)


def compute(date):
    "Compute the grades of all customers by the schemes of the company"
    def compute():
        pool = Pool()
        Run = pool.get('customer.grading.run')
        Scheme = pool.get('customer.grading.scheme')
        company = employee('saleshead').company
        runs = Run.create([{
                    'scheme': s.id,
                    'date': date,
                    } for s in Scheme.search([
                        ('company', '=', company.id),
                        ('state', '=', 'published'),
                        ], order=[('id', 'ASC')])])
        Run.compute(runs)
        return [r.id for r in runs]
    return act('saleshead', compute)


def grade(date):
    class_, level, credit = ids = compute(date)
    act('manager', press, 'customer.grading.run', [class_, level], 'approve')
    act('finance', press, 'customer.grading.run', [credit], 'approve')
    # The credit first, on which the limits depend
    for id_ in [credit, class_, level]:
        act('saleshead', press, 'customer.grading.run', [id_], 'apply')
    return ids


def create_first_grades():
    "The grades of the last quarter"
    date = ago(61)
    act('manager', configure, 90)
    ids = grade(date)
    act('manager', configure, 7)
    run(lambda: backdate_grades(ids, date))


def configure(days):
    Configuration = Pool().get('customer.configuration')
    configuration = Configuration(1)
    configuration.run_apply_days = days
    configuration.visit_interval = 6
    configuration.save()


def backdate_grades(ids, date):
    pool = Pool()
    Grade = pool.get('customer.grade')
    Run = pool.get('customer.grading.run')
    for record in Run.browse(ids):
        at = moment(date)
        set_(record,
            create_date=at, started_at=at,
            computed_at=at + dt.timedelta(minutes=1),
            approved_at=at + dt.timedelta(hours=26),
            applied_at=at + dt.timedelta(hours=27))
    for record in Grade.search([]):
        set_(record, start_date=date + dt.timedelta(days=1))


def create_grades():
    grade(today())


def create_waiting_run():
    "A run of the classes that waits for the approval of the manager"
    def compute():
        pool = Pool()
        Run = pool.get('customer.grading.run')
        Scheme = pool.get('customer.grading.scheme')
        scheme, = Scheme.search([
                ('company', '!=', None),
                ('axis', '=', 'class'),
                ('state', '=', 'published'),
                ])
        Run.compute(Run.create([{'scheme': scheme.id}]))
    act('sales2', assess, {"Schwarzwald Messtechnik GmbH": 95}, today(),
        "Their new measuring cell is built around our panel.")
    act('sales2', assess, {"Thames Kiosk Systems Ltd": 5}, today(),
        "They lost the railway stations, their largest customer.")
    act('saleshead', compute)


# Credit


def create_policies():
    act('saleshead', enter_policies)


def enter_policies():
    terms = [
        find('account.invoice.payment_term', name=n).id
        for n in ["Net 30 days", "30% in advance, rest in 30 days"]]
    advance = terms[1:]
    policies = [
        ("No credit", {
                'credit': 'd',
                'check': 'block',
                'credit_method': 'fixed',
                'credit_amount': Decimal(0),
                'payment_terms': [('add', advance)],
                }),
        ("Key customers", {
                'kind': 'key',
                'check': 'warn',
                'credit_method': 'fixed',
                'credit_amount': Decimal(10_000_000),
                'large_order': Decimal(5_000_000),
                'manager_required': True,
                'visit_interval': 3,
                'survey_interval': 6,
                'verification_interval': 6,
                'grading_interval': 3,
                }),
        ("Good credit", {
                'credit': 'a',
                'check': 'warn',
                'credit_method': 'fixed',
                'credit_amount': Decimal(4_000_000),
                'visit_interval': 6,
                'survey_interval': 12,
                'grading_interval': 6,
                }),
        ("Normal credit", {
                'credit': 'b',
                'check': 'warn',
                'credit_method': 'fixed',
                'credit_amount': Decimal(1_500_000),
                'large_order': Decimal(1_000_000),
                'visit_interval': 6,
                'survey_interval': 12,
                'grading_interval': 6,
                }),
        ("Little credit, and new customers", {
                'credit': 'c',
                'check': 'hold',
                'credit_method': 'fixed',
                'credit_amount': Decimal(500_000),
                'payment_terms': [('add', terms)],
                'large_order': Decimal(400_000),
                'investigation_required': True,
                'visit_interval': 6,
                'verification_interval': 6,
                'grading_interval': 3,
                }),
        ("All others", {
                'check': 'warn',
                'investigation_required': True,
                }),
        ]
    to_create = []
    for i, (name, values) in enumerate(policies, 1):
        if 'credit' in values:
            values['credit'] = ref(
                f"customer_grading.grade_credit_{values['credit']}")
        to_create.append({'sequence': i, 'name': name, **values})
    Pool().get('customer.service.policy').create(to_create)


def create_limits():
    "Most of the limits that the policies propose are approved"
    def get_ids():
        Change = Pool().get('customer.credit.limit.change')
        return [
            c.id for c in Change.search([('state', '=', 'proposed')])
            if c.party.name not in {
                "Sørlandet Sykehus Innkjøp", "Polder Pompen B.V.",
                "Saimaa Paperikone Oy"}]
    act('finance', press, 'customer.credit.limit.change', run(get_ids),
        'approve')
    change = act('sales2', propose, "Vestland Kollektiv", 6_000_000, 45,
        "The light rail pays its first instalment only when the kiosks stand.")
    act('finance', press, 'customer.credit.limit.change', [change], 'approve')
    act('sales', propose, "Trønder Maskin AS", 2_500_000, None,
        "They double their orders and have paid on time since summer.")


def propose(name, limit, days, reason):
    Change = Pool().get('customer.credit.limit.change')
    change, = Change.create([{
                'party': find('party.party', name=name).id,
                'new': Decimal(limit),
                'temporary_until': (
                    today() + dt.timedelta(days=days) if days else None),
                'reason': reason,
                }])
    return change.id


def create_override():
    def request():
        Override = Pool().get('customer.grade.override')
        override, = Override.create([{
                    'party': find(
                        'party.party', name="Saimaa Paperikone Oy").id,
                    'axis': 'class',
                    'grade': ref('customer_grading.grade_class_a'),
                    'reason': "They build two paper machines next year and "
                    "chose us as the only supplier of panels.",
                    'end_date': today() + dt.timedelta(days=90),
                    }])
        Override.request([override])
        return override.id
    id_ = act('sales', request)
    act('manager', press, 'customer.grade.override', [id_], 'approve')


def create_held():
    "Orders beyond the credit: one waits for finance, one it has released"
    held = Order(
        'sales', "Jærbu Robotikk AS", [('IP-24', 8), ('SV-IN', 1)],
        description="Third and fourth robot cell")
    released = Order(
        'sales2', "Great Lakes Terminals Inc.", [('OD-55', 1)],
        description="Sample display for the quay")
    click([held, released], 'quote')
    act('finance', release, released.id,
        "They pay a third in advance, and the investigation is done.")


def release(sale, reason):
    Hold = Pool().get('sale.credit.hold')
    Hold.release_holds(
        Hold.search([('sale', '=', sale), ('state', '=', 'held')]),
        reason, today() + dt.timedelta(days=14))
