# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.cache import Cache
from trytond.pool import PoolMeta
from trytond.transaction import Transaction


class UserEmployee(metaclass=PoolMeta):
    __name__ = 'res.user-company.employee'

    _ids_cache = Cache('res.user-company.employee.ids', context=False)

    @classmethod
    def get_ids(cls, user):
        """Return the ids of all employees of the id of the user, also of those
        that its preferences leave out"""
        ids = cls._ids_cache.get(user)
        if ids is None:
            cursor = Transaction().connection.cursor()
            table = cls.__table__()
            cursor.execute(*table.select(
                    table.employee, where=table.user == user,
                    order_by=table.id))
            ids = [id_ for id_, in cursor]
            cls._ids_cache.set(user, ids)
        return ids

    @classmethod
    def on_modification(cls, mode, records, field_names=None):
        super().on_modification(mode, records, field_names=field_names)
        cls._ids_cache.clear()
