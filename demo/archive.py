# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.pool import Pool
from trytond.transaction import Transaction

from .tools import act, find, progress, run

# How many of the orders that are done and under way have a file
DONE, RUNNING = 7, 3


def create():
    "Keep the files of orders: archived, complete, incomplete and running"
    run(configure)
    archives = run(open_files)
    for i, id_ in enumerate(progress(archives)):
        if i < DONE - 1:
            act('archivist', add, id_, 'acceptance', "Acceptance report")
        if i < DONE - 2:
            run(lambda id_=id_: waive(id_), 'manager')
        if i < DONE - 3:
            act('archivist', close, id_)


def configure():
    "Choose the plan of the module"
    Configuration = Pool().get('order.archive.configuration')
    config = Configuration(1)
    config.plan = find('order.archive.class', code='EQ')
    config.archivist = find('company.employee', rec_name="Torill Bakke")
    config.acceptance = 'document'
    config.save()


def open_files():
    "Open the files of the oldest orders that are done and of some under way"
    pool = Pool()
    Archive = pool.get('order.archive')
    Sale = pool.get('sale.sale')
    sales = []
    for state, number in [('done', DONE), ('processing', RUNNING)]:
        sales += Sale.search(
            [('state', '=', state)], limit=number,
            order=[('sale_date', 'ASC'), ('id', 'ASC')])
    archives = Archive.open(sales)
    Archive.collect(list(archives.values()))
    return [archives[s].id for s in sales[:DONE]]


def add(id_, code, name):
    pool = Pool()
    Archive = pool.get('order.archive')
    Upload = pool.get('order.archive.upload', type='wizard')
    archive = Archive(id_)
    session, _, _ = Upload.create()
    with Transaction().set_context(
            active_model=Archive.__name__, active_id=id_, active_ids=[id_]):
        upload = Upload(session)
        for field, value in {
                'company': archive.company,
                'kind': find('order.archive.kind', code=code),
                'medium': 'file',
                'name': f"{name} {archive.sale_number}.txt",
                'filename': None,
                'data': f"{name}\n{archive.sale_number}\nSigned".encode(),
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
