# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from decimal import Decimal

from trytond.pool import Pool
from trytond.transaction import Transaction

from .tools import act, find, progress, ref, run, set_, today

# How many of the orders that are done have a file
DONE = 8
# How many of the files are archived, complete, and only wait for a waiver
ARCHIVED, COMPLETE, UNWAIVED = 5, 6, 7


def create():
    "Keep the files of orders in all the states in which one meets them"
    run(configure)
    archives = run(open_files)
    for i, id_ in enumerate(progress(archives)):
        if i < UNWAIVED:
            act('archivist', add, id_, 'acceptance', "Acceptance report")
        if i < COMPLETE:
            act('manager', waive, id_)
        if i < ARCHIVED:
            act('archivist', add, id_, 'delivery', "Signed delivery note",
                'paper')
            act('archivist', close, id_)
        if i == 0:
            dispose()
    act('legal', hold, archives[2])
    run(propose)
    bind(archives[1:ARCHIVED - 1])
    act('auditor', verify)


def configure():
    "Keep files, those of small orders for a shorter time than the others"
    pool = Pool()
    Class = pool.get('order.archive.class')
    Configuration = pool.get('order.archive.configuration')
    Retention = pool.get('order.archive.retention')
    create_sequences()
    company = find('company.company')
    plan = find('order.archive.class', code='EQ')
    retention, = Retention.create([{
                'sequence': 40,
                'name': "3 Months after the Last Payment",
                'company': company.id,
                'years': 0,
                'months': 3,
                'trigger': 'payment',
                'action': 'dispose',
                }])
    Class.create([{
                # Before those that match by country
                'sequence': 5,
                'code': 'SM',
                'name': "Small Orders",
                'parent': plan.id,
                'company': company.id,
                'maximum_amount': Decimal(45_000),
                'retention': retention.id,
                }])
    config = Configuration(1)
    config.plan = plan
    config.archivist = find('company.employee', rec_name="Torill Bakke")
    config.acceptance = 'document'
    config.save()


def create_sequences():
    Sequence = Pool().get('ir.sequence')
    for name, prefix in [
            ('archive', 'OF'), ('contract', 'CT'), ('disposal', 'DS')]:
        Sequence.write(
            [Sequence(ref(f'order_archive.sequence_{name}'))], {
                'prefix': prefix,
                'padding': 4,
                })


def open_files():
    "Open the files of the oldest orders that are done and of those under way"
    pool = Pool()
    Archive = pool.get('order.archive')
    Sale = pool.get('sale.sale')
    done, running = (
        Sale.search(
            [('state', '=', state)], limit=limit,
            order=[('sale_date', 'ASC'), ('id', 'ASC')])
        for state, limit in [('done', DONE), ('processing', None)])
    archives = Archive.open([*done, *running])
    Archive.collect(list(archives.values()))
    for sale in done:
        # It was settled with the last payment
        set_(archives[sale], done_on=max(
                l.date for i in sale.invoices for l in i.payment_lines))
    return [archives[s].id for s in done]


def add(id_, code, name, medium='file'):
    pool = Pool()
    Archive = pool.get('order.archive')
    Upload = pool.get('order.archive.upload', type='wizard')
    archive = Archive(id_)
    session, _, _ = Upload.create()
    with Transaction().set_context(
            active_model=Archive.__name__, active_id=id_, active_ids=[id_]):
        upload = Upload(session)
        name = f"{name} {archive.sale_number}"
        for field, value in {
                'company': archive.company,
                'kind': find('order.archive.kind', code=code),
                'medium': medium,
                'name': f"{name}.txt" if medium == 'file' else name,
                'filename': None,
                'data': f"{name}\nSigned".encode(),
                'document_date': archive.done_on,
                }.items():
            setattr(upload.start, field, value)
        upload.transition_upload()
    Upload.delete(session)


def waive(id_):
    "Let the file do without all that it misses and can do without"
    Archive = Pool().get('order.archive')
    archive = Archive(id_)
    for kind in Archive.get_waivable(archive):
        Archive.do_waive(
            archive, kind, "The customer is bound by the general agreement.")


def close(id_):
    Archive = Pool().get('order.archive')
    Archive.close([Archive(id_)])


def propose():
    Disposal = Pool().get('order.archive.disposal')
    Disposal.propose()


def dispose():
    "Dispose of the files whose retention has ended"
    run(propose)
    for login, button in [
            ('manager', 'approve'), ('legal', 'approve'),
            ('archivist', 'execute')]:
        act(login, click_disposals, button)


def click_disposals(button):
    Disposal = Pool().get('order.archive.disposal')
    getattr(Disposal, button)(Disposal.search([
                ('state', 'in', ['proposed', 'approved'])]))


def hold(id_):
    Hold = Pool().get('order.archive.hold')
    Hold.create([{
                'company': find('company.company').id,
                'matter': "Inquiry into tenders",
                'reason': "The auditors of the municipality ask for the file.",
                'archives': [('add', [id_])],
                }])


def bind(archives):
    "Bind the papers of the files in a volume, which is lent"
    place = run(create_places)
    volume = act('archivist', create_volume, place, archives)
    act('archivist', lend, volume)


def create_places():
    Place = Pool().get('order.archive.place')
    room, = Place.create([{
                'company': find('company.company').id,
                'code': 'R2',
                'name': "Archive Room",
                }])
    shelf, = Place.create([{
                'company': room.company.id,
                'code': 'S4',
                'name': "Shelf 4",
                'parent': room.id,
                }])
    return shelf.id


def create_volume(place, archives):
    pool = Pool()
    Box = pool.get('order.archive.box')
    Item = pool.get('order.archive.item')
    Volume = pool.get('order.archive.volume')
    box, = Box.create([{
                'description': "Delivery notes",
                'place': place,
                }])
    volume, = Volume.create([{
                'title': "Signed delivery notes",
                'box': box.id,
                }])
    Volume.file(volume, [
            (item, 2) for item in Item.search([
                    ('archive', 'in', archives),
                    ('medium', '=', 'paper'),
                    ])])
    Volume.bind([volume])
    return volume.id


def lend(volume):
    Loan = Pool().get('order.archive.loan')
    Loan.create([{
                'volume': volume,
                'borrower': find(
                    'company.employee', rec_name="Bjørn Aas").party.id,
                'purpose': "Claim of the insurance",
                'until': today() + dt.timedelta(days=7),
                }])


def verify():
    "Have the ledger and the documents verified"
    Chain = Pool().get('order.archive.chain')
    chains = Chain.search([])
    Chain.checkpoint(chains)
    Chain.verify(chains)
