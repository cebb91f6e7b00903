# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from sql import Literal

from trytond.pool import Pool, PoolMeta


class Due(metaclass=PoolMeta):
    __name__ = 'customer.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.kind.selection.append(('override', "End of Override"))

    @classmethod
    def _get_origins(cls):
        return super()._get_origins() + ['customer.grade.override']

    @classmethod
    def _due_override(cls):
        override = Pool().get('customer.grade.override').__table__()
        return override.select(
            override.id.as_('id'),
            override.company.as_('company'),
            override.party.as_('party'),
            override.end_date.as_('due_date'),
            Literal(None).as_('employee'),
            cls._origin('customer.grade.override', override.id).as_('origin'),
            where=override.state == 'approved')
