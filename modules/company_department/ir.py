# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from trytond.pool import Pool, PoolMeta
from trytond.transaction import Transaction


class Date(metaclass=PoolMeta):
    __name__ = 'ir.date'

    @classmethod
    def today(cls, timezone=None):
        pool = Pool()
        Company = pool.get('company.company')
        company = Transaction().context.get('company')
        if timezone is None and company is not None and company >= 0:
            # Without reading the company for each list and each counter
            timezone = Company.get_timezone(company)
        return super().today(timezone=timezone)


class Rule(metaclass=PoolMeta):
    __name__ = 'ir.rule'

    @classmethod
    def _department_models(cls):
        "The models whose rules use the employees of the user"
        return {'company.department.delegation'}

    @classmethod
    def _get_cache_key(cls, model_names):
        pool = Pool()
        User = pool.get('res.user')
        key = super()._get_cache_key(model_names)
        if model_names & cls._department_models():
            key = (*key, User.get_employees())
        return key

    @classmethod
    def _get_context(cls, model_name):
        pool = Pool()
        User = pool.get('res.user')
        context = super()._get_context(model_name)
        if model_name in cls._department_models():
            context['employees'] = User.get_employees()
        return context
