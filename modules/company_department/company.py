# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import threading
from functools import lru_cache

import holidays

from trytond.cache import Cache
from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.tools import timezone as tz

from .exceptions import CalendarValidationError

_WEEKDAYS = [
    'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday',
    'sunday']
_lock = threading.Lock()


@lru_cache(maxsize=64)
def _get_calendar(country, subdivision, work_days, days_off):
    "Return the calendar of these settings, filled year by year when used"
    if country:
        calendar = holidays.country_holidays(country, subdiv=subdivision)
    else:
        calendar = holidays.HolidayBase()
    calendar.weekend = {
        i for i, name in enumerate(_WEEKDAYS) if name not in work_days}
    for date in days_off:
        # Reading the year fills it, and with it its working weekends
        calendar.get(date)
        calendar[date] = "Day Off"
        calendar.weekend_workdays.discard(date)
    return calendar


class Company(metaclass=PoolMeta):
    __name__ = 'company.company'

    work_days = fields.MultiSelection([
            ('monday', "Monday"),
            ('tuesday', "Tuesday"),
            ('wednesday', "Wednesday"),
            ('thursday', "Thursday"),
            ('friday', "Friday"),
            ('saturday', "Saturday"),
            ('sunday', "Sunday"),
            ], "Work Days", sort=False,
        help="The days of the week on which the company works.\n"
        "Leave empty for Monday to Friday.")
    holiday_country = fields.Many2One(
        'country.country', "Holiday Country", ondelete='RESTRICT',
        help="The country whose public holidays the company keeps.")
    holiday_subdivision = fields.Many2One(
        'country.subdivision', "Holiday Subdivision", ondelete='RESTRICT',
        domain=[
            ('country', '=', Eval('holiday_country', -1)),
            ],
        states={
            'invisible': ~Eval('holiday_country'),
            },
        help="The subdivision whose public holidays the company keeps "
        "besides those of its country.")
    days_off = fields.One2Many(
        'company.day_off', 'company', "Days Off",
        help="The other days on which the company does not work.")
    _settings_cache = Cache('company.company.settings', context=False)

    @classmethod
    def default_work_days(cls):
        return _WEEKDAYS[:5]

    @fields.depends('holiday_country', 'holiday_subdivision')
    def on_change_holiday_country(self):
        if (self.holiday_subdivision
                and self.holiday_subdivision.country != self.holiday_country):
            self.holiday_subdivision = None

    @classmethod
    def get_timezone(cls, company):
        "Return the time zone of the id of the company"
        name, _ = cls._get_cached(company)
        return tz.ZoneInfo(name) if name else tz.SERVER

    @classmethod
    def get_currency(cls, company):
        "Return the id of the currency of the id of the company"
        _, currency = cls._get_cached(company)
        return currency

    @classmethod
    def _get_cached(cls, company):
        # For every list and every order, without reading the company
        values = cls._settings_cache.get(company)
        if values is None:
            record = cls(company)
            values = record.timezone, record.currency.id
            cls._settings_cache.set(company, values)
        return values

    @classmethod
    def on_modification(cls, mode, companies, field_names=None):
        super().on_modification(mode, companies, field_names=field_names)
        cls._settings_cache.clear()

    @classmethod
    def validate_fields(cls, companies, field_names):
        super().validate_fields(companies, field_names)
        cls.check_holidays(companies, field_names)

    @classmethod
    def check_holidays(cls, companies, field_names=None):
        if field_names and not (field_names & {
                    'holiday_country', 'holiday_subdivision'}):
            return
        supported = holidays.list_supported_countries()
        for company in companies:
            country = company.holiday_country
            if not country:
                continue
            if country.code not in supported:
                raise CalendarValidationError(gettext(
                        'company_department.msg_holiday_country_unknown',
                        company=company.rec_name,
                        country=country.rec_name))
            subdivision = company.holiday_subdivision
            if (subdivision
                    and (company._holiday_subdivision_code
                        not in supported[country.code])):
                raise CalendarValidationError(gettext(
                        'company_department.msg_holiday_subdivision_unknown',
                        company=company.rec_name,
                        subdivision=subdivision.rec_name))

    @property
    def _holiday_subdivision_code(self):
        "The code without the prefix of the country that ISO 3166-2 has"
        if self.holiday_subdivision:
            return self.holiday_subdivision.code.split('-', 1)[-1]

    @property
    def _calendar(self):
        country = self.holiday_country
        return _get_calendar(
            country.code if country else None,
            self._holiday_subdivision_code,
            tuple(self.work_days or self.default_work_days()),
            tuple(sorted(d.date for d in self.days_off)))

    def is_working_day(self, date):
        "Return whether the company works on the date"
        with _lock:
            return self._calendar.is_working_day(date)

    def add_working_days(self, date, n):
        """Return the nth working day after the date.

        Before the date if n is negative; if n is 0 the date itself when it is
        a working day and the next one otherwise."""
        with _lock:
            return self._calendar.get_nth_working_day(date, n)

    def working_days_between(self, start, end):
        """Return the number of working days after start until end included.

        It is what must be added to start to reach end when end is a working
        day, and negative if end is before start."""
        if end < start:
            return -self.working_days_between(end, start)
        if end == start:
            return 0
        with _lock:
            return self._calendar.get_working_days_count(
                start + dt.timedelta(days=1), end)


class Employee(metaclass=PoolMeta):
    __name__ = 'company.employee'

    @classmethod
    def on_modification(cls, mode, employees, field_names=None):
        pool = Pool()
        Department = pool.get('company.department')
        super().on_modification(mode, employees, field_names=field_names)
        Department.clear_cache()


class DayOff(ModelSQL, ModelView):
    __name__ = 'company.day_off'

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='CASCADE')
    date = fields.Date("Date", required=True)
    name = fields.Char("Name", translate=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls.__access__.add('company')
        cls._sql_constraints += [
            ('date_unique', Unique(t, t.company, t.date),
                'company_department.msg_day_off_date_unique'),
            ]
        cls._order.insert(0, ('date', 'DESC'))

    def get_rec_name(self, name):
        return self.name or str(self.date)
