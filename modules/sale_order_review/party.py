# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from sql import Column

from trytond.cache import Cache
from trytond.model import fields
from trytond.pool import Pool, PoolMeta
from trytond.transaction import Transaction, without_check_access


class Address(metaclass=PoolMeta):
    __name__ = 'party.address'
    # By all that an address is made of, as to format it takes longer than to
    # read it and each signature needs it
    _review_texts_cache = Cache('party.address.review_texts', context=False)

    @classmethod
    @without_check_access
    def get_review_texts(cls, ids):
        "Return by id the full addresses, the same for everybody"
        pool = Pool()
        Country = pool.get('country.country')
        Subdivision = pool.get('country.subdivision')
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        country, subdivision = Country.__table__(), Subdivision.__table__()
        names = sorted(
            n for n, f in cls._fields.items()
            if f.sql_type() and not isinstance(f, fields.Function)
            and n not in {
                'id', 'party', 'sequence', 'active', 'create_uid',
                'create_date', 'write_uid', 'write_date'})
        cursor.execute(*table
            .join(country, 'LEFT', condition=table.country == country.id)
            .join(subdivision, 'LEFT',
                condition=table.subdivision == subdivision.id)
            .select(
                table.id, country.code, country.name, subdivision.code,
                subdivision.name, *(Column(table, n) for n in names),
                where=fields.SQL_OPERATORS['in'](table.id, ids)))
        contents = {id_: tuple(content) for id_, *content in cursor}
        cache = cls._review_texts_cache
        texts = {i: cache.get(c) for i, c in contents.items()}
        with Transaction().set_context(
                language='en', address_with_party=False,
                address_from_country=None):
            for address in cls.browse([
                        i for i, text in texts.items() if text is None]):
                texts[address.id] = address.full_address
                cache.set(contents[address.id], texts[address.id])
        return texts


class AddressFormat(metaclass=PoolMeta):
    __name__ = 'party.address.format'

    @classmethod
    def on_modification(cls, mode, formats, field_names=None):
        pool = Pool()
        Address = pool.get('party.address')
        super().on_modification(mode, formats, field_names=field_names)
        Address._review_texts_cache.clear()


class Replace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('sale.review.rule', 'party'),
            ]
