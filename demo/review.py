# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
import random
from collections import defaultdict
from decimal import Decimal

from trytond.pool import Pool

from .orders import Order, by_login, click, collect, invoice, ship
from .tools import act, find, progress, ref, run, set_, today

RULES = [
    ("Completeness and terms", 'SALES', 1, {
            'minimum_amount': Decimal(25_000),
            'signatories': 'head',
            'deadline': 1,
            'segregated': True,
            }),
    ("Credit and payment", 'FIN', 2, {
            'minimum_amount': Decimal(150_000),
            'maximum_amount': Decimal('999_999.99'),
            'imposes_payment': True,
            'aspects': ['parties', 'prices', 'payment'],
            }),
    ("Credit and payment of large orders", 'FIN', 2, {
            'minimum_amount': Decimal(1_000_000),
            'signatories': 'number',
            'number': 2,
            'deadline': 3,
            'checklist': 'checklist_finance',
            'aspects': ['parties', 'prices', 'payment'],
            }),
    ("Standing of new customers", 'FIN', 2, {
            'party_category': "New Customer",
            'maximum_amount': Decimal('149_999.99'),
            'aspects': ['parties', 'payment'],
            }),
    ("Technical feasibility", 'RD', 2, {
            'customised': True,
            'signatories': 'head',
            'deadline': 5,
            'checklist': 'checklist_technical',
            'aspects': ['products', 'requirements'],
            }),
    ("Capacity and dates", 'PROD', 2, {
            'product_category': "Industrial Panels",
            'subjects': ['sale.sale', 'sale.amendment'],
            'aspects': ['products', 'quantities', 'dates', 'delivery'],
            }),
    ("Capacity and dates of outdoor displays", 'PROD', 2, {
            'product_category': "Outdoor Displays",
            'aspects': ['products', 'quantities', 'dates', 'delivery'],
            }),
    ("Inspection of outdoor displays", 'QA', 2, {
            'product_category': "Outdoor Displays",
            'aspects': ['products', 'requirements'],
            }),
    ("Export terms", 'LEGAL', 2, {
            'abroad': True,
            'minimum_amount': Decimal(100_000),
            'deadline': 3,
            'checklist': 'checklist_contract',
            'aspects': ['parties', 'payment', 'delivery', 'terms'],
            }),
    ("Price below the usual margin", 'GM', 3, {
            'maximum_margin': Decimal('0.30'),
            'minimum_amount': Decimal(25_000),
            'signatories': 'head',
            }),
    ("Overall risk of very large orders", 'GM', 3, {
            'minimum_amount': Decimal(2_000_000),
            'signatories': 'head',
            }),
    ]

# days ago, seller, customer, channel, lines
HISTORY = [
    (168, 'sales', "Varde Elektro AS", "E-Mail",
        [('TS-10', 4), ('CS-05', 4)]),
    (163, 'sales', "Elbe Anlagenbau GmbH", "Tender",
        [('PC-15', 12), ('MK-01', 12)]),
    (157, 'sales2', "Tromsø Parkering KF", "Tender",
        [('TS-21', 3), ('SV-IN', 2)]),
    (151, 'sales', "Havbris Offshore AS", "Meeting",
        [('PC-12', 20), ('MK-01', 20), ('CS-05', 20)]),
    (146, 'sales2', "Polder Pompen B.V.", "E-Mail", [('TS-10', 6)]),
    (139, 'sales', "Granli Sagbruk AS", "Telephone",
        [('TS-15', 2), ('CS-05', 2)]),
    (132, 'sales2', "Øresund Displays A/S", "EDI",
        [('TS-10', 40), ('TS-15', 20)]),
    (126, 'sales', "Fjordlinja Ferger AS", "Meeting",
        [('TS-21', 14), ('MK-01', 14)]),
    (119, 'sales', "Lofotfisk Eksport AS", "Telephone",
        [('PC-12', 1), ('SV-WA', 1)]),
    (112, 'sales2', "Skärgård Marin AB", "E-Mail",
        [('TS-15', 24), ('CS-05', 24)]),
    (105, 'sales', "Polarmat Foods AS", "E-Mail",
        [('PC-15', 8), ('SV-IN', 3)]),
    (98, 'sales2', "Midnattsol Hotell AS", "Web Platform",
        [('TS-10', 5), ('MK-01', 5)]),
    (91, 'sales', "Ningbo Haitian Port Equipment Co., Ltd.", "Trade Fair",
        [('PC-12', 30)]),
    (84, 'sales2', "Vestland Kollektiv", "Tender",
        [('TS-21', 20, '0.05'), ('SV-WA', 20)]),
    (78, 'sales', "Trønder Maskin AS", "Telephone",
        [('TS-15', 3), ('CS-05', 3)]),
    (71, 'sales2', "Saimaa Paperikone Oy", "Referral",
        [('PC-15', 6), ('MK-01', 6)]),
    (64, 'sales', "Havbris Offshore AS", "E-Mail",
        [('PC-12', 14), ('CS-05', 14)]),
    (57, 'sales2', "Varde Elektro AS", "E-Mail", [('TS-10', 7)]),
    (50, 'sales', "Schwarzwald Messtechnik GmbH", "Trade Fair",
        [('TS-10', 12), ('TS-15', 12)]),
    (43, 'sales2', "Norrsken Automation AB", "E-Mail",
        [('PC-12', 10), ('MK-01', 10)]),
    (36, 'sales', "Sørlandet Sykehus Innkjøp", "Tender",
        [('TS-15', 30, '0.08')]),
    (29, 'sales2', "Thames Kiosk Systems Ltd", "E-Mail",
        [('TS-21', 16), ('CS-05', 32)]),
    (22, 'sales', "Granli Sagbruk AS", "Telephone",
        [('CS-05', 20), ('MK-01', 10)]),
    (17, 'sales2', "Fjordlinja Ferger AS", "E-Mail",
        [('TS-15', 10), ('SV-IN', 1)]),
    ]

# The days after which who pays late does, if at all
LATE = {
    "Granli Sagbruk AS": 52,
    "Lofotfisk Eksport AS": None,
    "Midnattsol Hotell AS": 85,
    "Thames Kiosk Systems Ltd": None,
    "Trønder Maskin AS": 41,
    }

# kind, text, source and with whom it was confirmed if it was said only
REQUIREMENTS = [
    ('stated', "Can be operated with gloves, at -25 °C.",
        "Meeting in hall 3", None),
    ('stated', "Delivered in two lots, one for each half of the line.",
        "Telephone", "Ola Moen, maintenance"),
    ('implied', "Stands hot water and lye, with which the line is cleaned.",
        None, None),
    ('statutory', "Conforms to the Machinery and the EMC Directive.",
        "2006/42/EC, 2014/30/EU", None),
    ('own', "48 hours of burn-in before shipment.", "Test plan", None),
    ]
# The login of who signs for a department, in this order
SIGNATORIES = {
    'SALES': ['saleshead'],
    'FIN': ['finance', 'finance2'],
    'RD': ['technical'],
    'PROD': ['production'],
    'QA': ['quality'],
    'LEGAL': ['legal'],
    'GM': ['manager'],
    }
ANSWERS = {
    'boolean': 'yes',
    'number': Decimal(15),
    'date': today() + dt.timedelta(days=25),
    'text': "Nothing beyond the usual.",
    }
OPINIONS = {
    'SALES': "Complete, and the terms follow our policy.",
    'FIN': "No arrears, the payment terms are acceptable.",
    'RD': "Feasible; drawings follow in the week after the order.",
    'PROD': "Capacity is there, the date can be kept.",
    'QA': "IP66 test and 48 hours of burn-in are planned.",
    'LEGAL': "Standard terms, liability is limited.",
    'GM': "Go ahead.",
    }


def create_rules():
    create_sequences()
    Configuration = Pool().get('sale.configuration')
    Configuration.write([Configuration(1)], {
            'entry_days': 3,
            'review_executing_departments': [
                ('add', [find('company.department', code='PROD').id])],
            })
    Rule = Pool().get('sale.review.rule')
    models = {
        'party_category': 'party.category',
        'product_category': 'product.category',
        }
    to_create = []
    for i, (name, code, stage, values) in enumerate(RULES, 1):
        values = values.copy()
        for field, model in models.items():
            if field in values:
                values[field] = find(model, name=values[field]).id
        if 'checklist' in values:
            values['checklist'] = ref(
                f"sale_order_review.{values['checklist']}")
        department = find('company.department', code=code)
        to_create.append({
                'sequence': i,
                'name': name,
                'company': department.company.id,
                'subjects': ['sale.sale'],
                'department': department.id,
                'stage': stage,
                **values})
    Rule.create(to_create)


def create_sequences():
    Sequence = Pool().get('ir.sequence')
    for sequence, prefix in [
            ('sale.sequence_sale', 'SO'),
            ('sale_order_review.sequence_review', 'RV'),
            ]:
        Sequence.write([Sequence(ref(sequence))], {
                'prefix': prefix,
                'padding': 4,
                })


def create_history():
    "Take the orders of the last months through to the money"
    orders = [
        Order(login, party, lines, days, channel=channel)
        for days, login, party, channel, lines in progress(HISTORY)]
    finish(orders)
    # The first order finds out which tables must be locked
    for part in [orders[:1], orders[1:]]:
        ship(part[:-2] or part, 10)
        invoice(part)
        collect(part, 30, LATE)


def create_current():
    "Leave orders in all states in which one meets them"
    for create in progress([
                create_drafts, create_quotations, create_first_stage,
                create_second_stage, create_third_stage, create_returned,
                create_second_round, create_asked, create_conditional,
                create_imposed, create_withdrawn, create_approved,
                create_processing, create_released, create_changes]):
        create()
    run(forget_notifications)


def create_drafts():
    Order(
        'sales', "Granli Sagbruk AS", [('TS-15', 4), ('MK-01', 4)],
        channel="Telephone")
    Order(
        'sales2', "Hokkaido Ferry K.K.", [('OD-55', 6)],
        description="Displays for two car decks", channel="Trade Fair")


def create_quotations():
    "Those that must be submitted, and one that needs no review"
    click([
            Order(
                'sales', "Fjordlinja Ferger AS", [('OD-55', 4), ('SV-IN', 3)],
                description="Displays for quay 2"),
            Order(
                'sales', "Varde Elektro AS", [('PC-12', 6), ('CS-05', 6)],
                description="Panel computers for the new hall"),
            Order(
                'sales2', "Polder Pompen B.V.", [('IP-24', 5)],
                description="Panels for the pumping station"),
            Order(
                'sales', "Midnattsol Hotell AS", [('TS-10', 3)],
                description="Screens for the reception"),
            ], 'quote')


def create_first_stage():
    "Due today, overdue and fresh"
    order = request(
        'sales', "Trønder Maskin AS", [('PC-15', 5)],
        description="Panel computers for the mill", channel="Telephone")
    backdate(order, working_days(1), due=today())
    order = request(
        'sales2', "Skärgård Marin AB", [('TS-21', 12)],
        description="Bridge screens")
    backdate(order, working_days(4))
    request(
        'sales', "Havbris Offshore AS", [('IP-24', 6), ('MK-01', 6)],
        description="Control room panels", channel="Meeting")


def create_second_stage():
    order = request(
        'sales', "Vestland Kollektiv", [('CK-00', 8, '0.05')],
        description="Ticket kiosks for the light rail", channel="Tender")
    sign([order], 'SALES')
    sign([order], 'PROD')
    backdate(order, working_days(2))
    # One of the two of Finance has signed
    order = request(
        'sales2', "Elbe Anlagenbau GmbH", [('IP-32', 40, '0.05')],
        description="Operator panels for locks", channel="Tender")
    sign([order], 'SALES')
    sign([order], 'FIN', 1)
    backdate(order, working_days(3))


def create_third_stage():
    order = request(
        'sales', "Ningbo Haitian Port Equipment Co., Ltd.",
        [('IP-32', 60, '0.05')],
        description="Crane panels, terminal 4", channel="Meeting")
    for department in ['SALES', 'FIN', 'PROD', 'LEGAL']:
        sign([order], department)
    backdate(order, working_days(2))


def create_returned():
    order = request(
        'sales2', "Great Lakes Terminals Inc.", [('CP-00', 4)],
        description="Panels for the visitor centre", channel="Web Platform",
        comment="Liability of the supplier without limit.")
    sign([order], 'SALES')
    return_(
        order, 'LEGAL', 'terms',
        "Unlimited liability cannot be accepted: agree on a limit of the "
        "contract value and submit again.")
    backdate(order, working_days(2))


def create_second_round():
    "Finance wanted another payment term, the others need not sign again"
    order = Order(
        'sales', "Polarmat Foods AS", [('IP-24', 12), ('CP-00', 2)],
        description="Line control, hall 3", channel="Meeting",
        payment_term="Net 60 days", requirements=[{
                'kind': kind,
                'text': text,
                'source': source,
                'oral': bool(person),
                'confirmed_how': 'telephone' if person else None,
                'confirmed_with': person,
                } for kind, text, source, person in REQUIREMENTS])
    click([order], 'quote')
    act(order.login, confirm_requirements, order.id)
    submit([order])
    for department in ['SALES', 'PROD', 'RD']:
        sign([order], department)
    return_(
        order, 'FIN', 'credit',
        "30 days at most for this customer, or an advance payment.")
    backdate(order, working_days(4))
    term = run(lambda: find(
            'account.invoice.payment_term',
            name="30% in advance, rest in 30 days").id)
    order.write(payment_term=term)
    click([order], 'quote')
    submit([order])
    backdate(order, working_days(1), due=today())


def confirm_requirements(sale_id):
    Requirement = Pool().get('sale.requirement')
    Requirement.confirm(Requirement.search([
                ('sale', '=', sale_id),
                ('unconfirmed', '=', True),
                ]))


def create_imposed():
    "Finance approves if a third is paid in advance, which Sales must agree"
    order = request(
        'sales2', "Schwarzwald Messtechnik GmbH", [('IP-32', 24)],
        description="Panels for measuring cells", payment_term="Net 60 days")
    sign([order], 'SALES')
    sign([order], 'PROD')
    term = run(lambda: find(
            'account.invoice.payment_term',
            name="30% in advance, rest in 30 days").id)
    for (code, _), ids in get_pending([order], 'FIN').items():
        act(SIGNATORIES[code][0], impose, ids,
            "30 % in advance", find_department('FIN'),
            {'payment_term': term, 'gate': 'confirm'})
    while sign([order]):
        pass
    backdate(order, working_days(2))


def create_asked():
    "Legal waits for the answer of the customer"
    order = request(
        'sales2', "Saimaa Paperikone Oy", [('IP-24', 9)],
        description="Panels for the drying section")
    sign([order], 'SALES')
    for (code, _), ids in get_pending([order], 'LEGAL').items():
        act(SIGNATORIES[code][0], ask, ids,
            "Clause 14 asks for 15 % penalty: is 5 % acceptable?")


def ask(ids, question):
    Signoff = Pool().get('sale.review.signoff')
    Signoff.pause(
        Signoff.browse(ids), 'customer', 'email', question,
        today() + dt.timedelta(days=3), person="Aino Korhonen")


def create_conditional():
    "Production approves on a condition that holds the shipment"
    order = request(
        'sales', "Elbe Anlagenbau GmbH", [('IP-24', 4)],
        description="Panels for a test stand")
    sign([order], 'SALES')
    for (code, _), ids in get_pending([order], 'PROD').items():
        act(SIGNATORIES[code][0], impose, ids, "Burn-in report of the panels",
            find_department('QA'), {'gate': 'shipment'})
    while sign([order]):
        pass
    backdate(order, working_days(3))
    click([order], 'confirm', 'orderdesk')


def find_department(code):
    return run(lambda: find('company.department', code=code).id)


def impose(ids, name, department, values):
    pool = Pool()
    Condition = pool.get('sale.review.condition')
    Signoff = pool.get('sale.review.signoff')
    Condition.create([{
                'signoff': id_,
                'name': name,
                'department': department,
                'due_date': today() + dt.timedelta(days=5),
                **values,
                } for id_ in ids])
    Signoff.approve_with_conditions(Signoff.browse(ids))


def create_withdrawn():
    order = request(
        'sales2', "Lofotfisk Eksport AS", [('PC-12', 4)],
        description="Packing line")
    withdraw(order)
    backdate(order, working_days(6))


def create_approved():
    orders = [
        request(
            'sales', "Sørlandet Sykehus Innkjøp", [('PC-15', 14)],
            description="Ward terminals"),
        request(
            'sales2', "Norrsken Automation AB", [('TS-15', 30)],
            description="Spare screens"),
        ]
    while sign(orders):
        pass
    for order in orders:
        backdate(order, working_days(2))


def create_processing():
    "Confirmed by the order desk and under way"
    finish([
            Order(
                'sales', "Jærbu Robotikk AS", [('IP-24', 3), ('SV-IN', 1)],
                12, description="First robot cell"),
            Order(
                'sales2', "Tromsø Parkering KF", [('OD-55', 3)],
                9, description="Signs for the car park"),
            Order(
                'sales', "Havbris Offshore AS", [('IP-32', 6), ('SV-WA', 6)],
                7, description="Deck panels"),
            Order(
                'sales', "Trønder Maskin AS", [('TS-10', 6), ('CS-05', 6)],
                4, description="Screens for the workshop"),
            ])


def create_released():
    "A ferry lies still: confirmed at once, the review is still to be approved"
    order = request(
        'sales', "Fjordlinja Ferger AS", [('IP-24', 4)],
        description="Bridge panels, breakdown of MF Brisling",
        channel="Telephone")
    act('manager', release, order.id,
        "The ferry is out of service until the panels are replaced.")
    click([order], 'confirm', 'orderdesk')


def release(id_, reason):
    pool = Pool()
    Release = pool.get('sale.review.release')
    Sale = pool.get('sale.sale')
    Release.release(
        [Sale(id_)], reason, dt.datetime.now() + dt.timedelta(days=1))


def create_changes():
    "One that waits for Production, and one that it has agreed to"
    orders = [
        Order(
            'sales', "Jærbu Robotikk AS", [('IP-24', 5)], 6,
            description="Second robot cell"),
        Order(
            'sales2', "Norrsken Automation AB", [('IP-24', 7)], 5,
            description="Panels for the paint shop"),
        ]
    finish(orders)
    waiting, agreed = orders
    change(waiting, 6, "Telephone call of the customer: one more cell.")
    amendment = change(
        agreed, 8, "E-mail of the customer: a spare panel with it.")
    while sign([agreed]):
        pass
    act(agreed.login, validate, amendment)


def change(order, quantity, reason):
    "Submit another quantity of the first line of the order for review"
    def change():
        pool = Pool()
        Amendment = pool.get('sale.amendment')
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        line = Sale(order.id).lines[0]
        amendment, = Amendment.create([{
                    'sale': order.id,
                    'date': today(),
                    'reason': reason,
                    'asked_by': 'customer',
                    'lines': [('create', [{
                                    'action': 'line',
                                    'line': line.id,
                                    'product': line.product.id,
                                    'quantity': quantity,
                                    'unit': line.unit.id,
                                    'unit_price': line.unit_price,
                                    }])],
                    }])
        Review.submit([amendment])
        return amendment.id
    return act(order.login, change)


def validate(id_):
    Amendment = Pool().get('sale.amendment')
    Amendment.validate_amendment([Amendment(id_)])


def request(*args, **values):
    "Enter an order and submit it for review"
    order = Order(*args, **values)
    click([order], 'quote')
    submit([order])
    return order


def finish(orders):
    "Review the orders as far as they must be and confirm them"
    click(orders, 'quote')
    required = run(lambda: {s.id for s in Pool().get('sale.sale').search([
                    ('id', 'in', [o.id for o in orders]),
                    ('review_state', '=', 'required'),
                    ])})
    reviewed = [o for o in orders if o.id in required]
    submit(reviewed)
    while sign(reviewed):
        pass
    for order in reviewed:
        backdate(order, order.days)
    click(orders, 'confirm', 'orderdesk')


def submit(orders):
    def submit(ids):
        pool = Pool()
        Review = pool.get('sale.review')
        Sale = pool.get('sale.sale')
        Review.submit(Sale.browse(ids))
    for login, ids in by_login(orders):
        act(login, submit, ids)


def withdraw(order):
    def withdraw():
        Review = Pool().get('sale.review')
        Review.withdraw(Review.search([('sale', '=', order.id)]))
    act(order.login, withdraw)


def sign(orders, department=None, number=None):
    """Sign what is pending, only for the department if there is one and by so
    many of its persons if there is a number.

    Return whether somebody has signed."""
    pending = get_pending(orders, department)
    for (code, needed), ids in pending.items():
        for login in SIGNATORIES[code][:number or needed]:
            act(login, decide, ids, 'approve', OPINIONS[code])
    return bool(pending)


def return_(order, department, cause, opinion):
    for (code, _), ids in get_pending([order], department).items():
        act(SIGNATORIES[code][0], decide, ids, 'return_', opinion, cause)


def decide(ids, button, opinion, cause=None):
    pool = Pool()
    Answer = pool.get('sale.review.answer')
    Signoff = pool.get('sale.review.signoff')
    signoffs = Signoff.browse(ids)
    Signoff.write(signoffs, {'opinion': opinion, 'cause': cause})
    if button == 'approve':
        for answer in Answer.search([('signoff', 'in', ids)]):
            if not answer.editable:
                continue
            values = {'remark': "Taken into account."}
            if answer.answer_type != 'measure':
                values = {answer.answer_type: ANSWERS[answer.answer_type]}
            Answer.write([answer], values)
    getattr(Signoff, button)(signoffs)


def get_pending(orders, department=None):
    "Return the pending sign-offs by department and how many must sign"
    def get_pending():
        Signoff = Pool().get('sale.review.signoff')
        pending = defaultdict(list)
        for signoff in Signoff.search([
                    ('review.sale', 'in', [o.id for o in orders]),
                    ('state', '=', 'pending'),
                    ]):
            code = signoff.department.code
            if not department or code == department:
                pending[code, signoff.number or 1].append(signoff.id)
        return pending
    return run(get_pending)


def working_days(number):
    "How many days ago so many working days begin"
    def get_date():
        company = find('company.department', code='SALES').company
        return company.add_working_days(today(), -number)
    return (today() - run(get_date)).days


def backdate(order, days, due=None):
    """Move the last round of the review into the past.

    The modules record what happens when it happens, and let nobody change it.
    The demo needs a past, so it is written where only a database
    administrator can."""
    run(lambda: _backdate(order.id, days, due))


def _backdate(sale_id, days, due):
    pool = Pool()
    Review = pool.get('sale.review')
    Sale = pool.get('sale.sale')

    sale = Sale(sale_id)
    review = Review.search(
        [('sale', '=', sale.id)], order=[('round', 'DESC')], limit=1)[0]
    chance = random.Random(sale.id)
    day = today() - dt.timedelta(days=days)
    now = dt.datetime.now()
    moment = dt.datetime.combine(day, dt.time(7)) + dt.timedelta(
        minutes=chance.randrange(240))
    set_(review, requested_at=moment, create_date=moment)
    if review.round == 1:
        for record in [sale, *sale.lines]:
            set_(record, create_date=moment - dt.timedelta(hours=2))
        quoted = min(sale.quotation_date, moment.date())
        set_(sale, quotation_date=quoted, entered_on=quoted)

    stages = sorted({s.stage for s in review.signoffs})
    for stage in stages:
        last = moment
        for signoff in review.signoffs:
            if signoff.stage != stage:
                continue
            set_(signoff, create_date=moment)
            if signoff.pending_at:
                deadline = due or review.company.add_working_days(
                    moment.date(), signoff.working_days)
                set_(signoff, pending_at=moment, deadline=deadline)
            for decision in signoff.decisions:
                signed = min(now, moment + dt.timedelta(
                        minutes=chance.randrange(40, 20 * 60)))
                set_(decision, decided_at=signed, create_date=signed)
                last = max(last, signed)
            if signoff.closed_at:
                set_(signoff, closed_at=last)
        moment = last
    if review.closed_at:
        set_(review, closed_at=moment)


def forget_notifications():
    "Delete what was notified and is settled"
    pool = Pool()
    Notification = pool.get('res.notification')
    settled = []
    for notification in Notification.search([]):
        Model = pool.get(notification.model)
        for record in Model.browse(json.loads(notification.records)):
            if Model.__name__ == 'sale.review.signoff':
                current = record.state == 'pending'
            else:
                current = record.sale.state in {'draft', 'quotation'}
            if current:
                break
        else:
            settled.append(notification)
    Notification.delete(settled)
