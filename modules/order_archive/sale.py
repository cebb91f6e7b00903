# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import without_check_access


class Sale(metaclass=PoolMeta):
    __name__ = 'sale.sale'

    archives = fields.One2Many(
        'order.archive', 'sale', "Order Files", readonly=True)
    archive_missing = fields.Function(
        fields.Text(
            "Missing in the Order File",
            states={
                'invisible': ~Eval('archive_missing'),
                }),
        'get_archive_missing')

    @classmethod
    @without_check_access
    def get_archive_missing(cls, sales, name):
        pool = Pool()
        Archive = pool.get('order.archive')
        texts = dict.fromkeys(map(int, sales))
        # What is confidential is told to those who see the file
        archives = {
            s: a for s, a in Archive.get(sales).items()
            if not a.class_.confidential}
        missing = Archive.missing(list(archives.values()))
        for sale, archive in archives.items():
            texts[sale.id] = '\n'.join(missing.get(archive, [])) or None
        return texts

    @classmethod
    def confirm(cls, sales):
        # Not a button itself, so that those below can tell what is missing
        # before the access to it
        pool = Pool()
        Archive = pool.get('order.archive')
        super().confirm(sales)
        Archive.confirmed(sales)

    @classmethod
    def do(cls, sales):
        pool = Pool()
        Archive = pool.get('order.archive')
        super().do(sales)
        Archive.set_done(sales)

    @classmethod
    @ModelView.button
    def cancel(cls, sales):
        pool = Pool()
        Archive = pool.get('order.archive')
        super().cancel(sales)
        Archive.set_done([s for s in sales if s.state == 'cancelled'])

    @classmethod
    @ModelView.button
    def draft(cls, sales):
        pool = Pool()
        Archive = pool.get('order.archive')
        super().draft(sales)
        Archive.reopen([s for s in sales if s.state == 'draft'])

    @classmethod
    def proceed(cls, sales):
        pool = Pool()
        Archive = pool.get('order.archive')
        super().proceed(sales)
        Archive.reopen(sales)

    @classmethod
    def check_modification(cls, mode, sales, values=None, external=False):
        super().check_modification(
            mode, sales, values=values, external=external)
        if mode == 'delete':
            for sale in sales:
                for archive in sale.archives:
                    raise AccessError(gettext(
                            'order_archive.msg_sale_delete',
                            sale=sale.rec_name, archive=archive.rec_name))

    @classmethod
    def copy(cls, sales, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('archives')
        return super().copy(sales, default=default)
