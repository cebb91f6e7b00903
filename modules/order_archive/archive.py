# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import hashlib
import re
import unicodedata
from collections import defaultdict

from sql import Cast, Column, Null
from sql.aggregate import Count
from sql.conditionals import Case, Coalesce
from sql.functions import CurrentTimestamp, Function
from sql.operators import BinaryOperator, Concat, Equal

from trytond import backend
from trytond.filestore import filestore
from trytond.i18n import gettext
from trytond.model import (
    Exclude, Index, ModelSQL, ModelStorage, ModelView, Unique, fields)
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.tools import (
    get_employee, group_by_company, notify, per_company)
from trytond.pool import Pool
from trytond.pyson import Bool, Eval, If, PYSONEncoder
from trytond.tools import grouped_slice, unescape_wildcard
from trytond.transaction import Transaction, without_check_access
from trytond.wizard import (
    Button, StateAction, StateTransition, StateView, Wizard)

from .exceptions import ArchiveError
from .plan import get_country
from .storage import store

# The states in which a file takes documents
_OPEN = ['collecting', 'complete']
_PREFIX = 'order_archive'


def _recording():
    "Let the evidence of the archive be modified"
    return Transaction().set_context(_order_archive=True)


def _insert(Model, values):
    "Insert the records that nobody else writes at once, and return their ids"
    transaction = Transaction()
    database = transaction.database
    table = Model.__table__()
    cursor = transaction.connection.cursor()
    columns = [table.create_uid, table.create_date, *(
            Column(table, n) for n in values[0])]
    returning = [table.id] if database.has_returning() else None
    ids = []
    for sub_values in grouped_slice(values, 1000):
        rows = [
            [transaction.user, CurrentTimestamp(), *v.values()]
            for v in sub_values]
        cursor.execute(*table.insert(columns, rows, returning))
        if returning:
            ids.extend(id_ for id_, in cursor)
        else:
            last = database.lastid(cursor)
            ids.extend(range(last - len(rows) + 1, last + 1))
    return ids


def _has_text(text):
    return bool((text or '').strip())


def _now():
    return dt.datetime.now().replace(microsecond=0)


def _isoformat(value):
    return value.isoformat() if value else None


def _normalize(text):
    "Return the text as it is searched: without case and accents"
    return ''.join(
        c for c in unicodedata.normalize('NFKD', text.casefold())
        if not unicodedata.combining(c))


class _ArrayToTsvector(Function):
    __slots__ = ()
    _function = 'array_to_tsvector'


class _Match(BinaryOperator):
    __slots__ = ()
    _operator = '@@'


def _grams(text):
    """Return the SQL expression by which PostgreSQL finds parts of the words
    of the text: the three characters that follow each of their places"""
    if backend.name != 'postgresql':
        return None
    return _ArrayToTsvector(Cast(sorted({
                    word[i:i + 3]
                    for word in text.split() for i in range(len(word))}),
            'TEXT[]'))


def _grams_query(text):
    "Return the SQL expression that looks for the text in words by the grams"
    grams = {
        word[i:i + 3]
        for word in text.split() for i in range(max(len(word) - 2, 1))}
    return Cast(' & '.join(
            # Fewer than three characters are the start of others
            "'" + g.replace('\\', '\\\\').replace("'", "''")
            + ("'" if len(g) == 3 else "':*") for g in sorted(grams)),
        'TSQUERY')


def _search_boolean(clause, domain, get_others):
    """Return the domain of the records that the clause on a boolean finds

    get_others returns that of those for which the domain does not hold."""
    _, operator, value = clause
    values = set(
        map(bool, value if operator in {'in', 'not in'} else [value]))
    if operator in {'!=', 'not in'}:
        values = {True, False} - values
    if not values:
        return [('id', '=', None)]
    elif len(values) == 2:
        return []
    return domain if values.pop() else get_others()


class _Employees(dict):
    "The employees of the user by company, looked for once"

    def __missing__(self, company):
        self[company] = get_employee(company)
        return self[company]


class Unmet:
    "A requirement of which the file has less than it must have"
    __slots__ = ('requirement', 'number')

    def __init__(self, requirement, number):
        self.requirement = requirement
        self.number = number

    @property
    def text(self):
        return gettext('order_archive.msg_requirement_unmet',
            kind=self.requirement.kind.rec_name,
            needed=self.requirement.number,
            number=self.number)


class EvidenceMixin(ModelStorage):
    """What is kept of an order: nobody creates, changes or deletes it but the
    archive itself, whatever the rights of who asks"""
    __slots__ = ()
    # The fields that lead to what may be confidential
    _leading = set()

    @classmethod
    def search(
            cls, domain, offset=0, limit=None, order=None, count=False,
            query=False):
        cls._deny_guesses([(n, '', None) for n, _ in order or [] if '.' in n])
        return super().search(
            domain, offset=offset, limit=limit, order=order, count=count,
            query=query)

    @classmethod
    def search_domain(cls, domain, active_test=None, tables=None):
        # Here, as other models can be searched through this one
        cls._deny_guesses(domain)
        return super().search_domain(
            domain, active_test=active_test, tables=tables)

    @classmethod
    def _deny_guesses(cls, domain):
        """Deny to search by what is confidential elsewhere: Tryton leaves the
        rules of other models aside"""
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')

        def get_guesses(domain):
            if not isinstance(domain, (list, tuple)) or not domain:
                return
            if not isinstance(domain[0], str) or domain[0] in {'AND', 'OR'}:
                for subdomain in domain:
                    yield from get_guesses(subdomain)
                return
            name, operator, value = domain[:3]
            field = name.split('.', 1)[0]
            if field not in cls._leading:
                return
            # An id tells nothing
            if not (name == field
                    and cls._fields[field]._type == 'many2one'
                    and operator in {'=', '!=', 'in', 'not in'}
                    and not isinstance(value, str)):
                yield field

        if not cls._leading or not Transaction().user:
            return
        for field in get_guesses(domain):
            if (ModelData.get_id(
                        'order_archive', 'group_archive_confidential')
                    not in User.get_groups()):
                raise AccessError(gettext(
                        'order_archive.msg_archive_search',
                        **cls.__names__(field)))

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if not Transaction().context.get('_order_archive'):
            cls._deny_modification(mode, records)

    @classmethod
    def export_data(cls, records, fields_names, header=False):
        # The rules do not apply to the records that a client names
        cls.read([r.id for r in records], ['id'])
        return super().export_data(records, fields_names, header=header)

    @classmethod
    def _deny_modification(cls, mode, records):
        raise AccessError(gettext(
                f'order_archive.msg_evidence_{mode}',
                **cls.__names__(record=records[0])))

    def ledger_values(self):
        """Return what the ledger keeps of the record: names of fields with
        values that JSON has, relations as ids or codes, decimals and dates as
        strings.

        Whatever changes one of them records an event, so that the content of
        the last event of the record is what the database must hold."""
        raise NotImplementedError


class Archive(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive'
    _rec_name = 'number'
    _leading = {'items', 'collections'}

    number = fields.Char("Number", required=True, readonly=True)
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    sale = fields.Many2One(
        'sale.sale', "Sale", required=True, readonly=True, ondelete='RESTRICT')
    class_ = fields.Many2One(
        'order.archive.class', "Class", required=True, readonly=True,
        ondelete='RESTRICT')
    supplement_of = fields.Many2One(
        'order.archive', "Supplement Of", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('supplement_of'),
            })
    supplements = fields.One2Many(
        'order.archive', 'supplement_of', "Supplements", readonly=True,
        states={
            'invisible': ~Eval('supplements'),
            })
    # The export of data takes a rule that looks into another model for true
    confidential = fields.Function(
        fields.Boolean("Confidential"),
        'get_confidential', searcher='search_confidential')
    opened_at = fields.DateTime("Opened At", required=True, readonly=True)
    sale_number = fields.Char("Sale Number", readonly=True)
    sale_date = fields.Date("Sale Date", readonly=True)
    reference = fields.Char("Reference", readonly=True)
    description = fields.Char("Description", readonly=True)
    party = fields.Many2One(
        'party.party', "Party", required=True, readonly=True,
        ondelete='RESTRICT',
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})
    party_name = fields.Char(
        "Party Name", readonly=True,
        help="The name that the party had.")
    party_code = fields.Char("Party Code", readonly=True)
    products = fields.Function(
        fields.Many2Many('product.product', None, None, "Products"),
        'get_products', searcher='search_products')
    search_text = fields.Text("Search Text", readonly=True, loading='lazy')
    search_index = fields.FullText(
        "Search Index", readonly=True, loading='lazy')
    items = fields.One2Many(
        'order.archive.item', 'archive', "Documents", readonly=True)
    done_on = fields.Date(
        "Done On", readonly=True,
        help="When the order was delivered and paid.")
    deadline = fields.Date(
        "Deadline", readonly=True,
        help="The day by which the file must be archived.")
    reminded_on = fields.Date("Reminded On", readonly=True, loading='lazy')
    late = fields.Function(
        fields.Boolean("Late"), 'get_late', searcher='search_late')
    missing_text = fields.Function(
        fields.Text(
            "Missing",
            states={
                'invisible': ~Eval('missing_text'),
                },
            help="What prevents the file from being archived."),
        'get_missing_text')
    archived_at = fields.DateTime(
        "Archived At", readonly=True,
        states={
            'invisible': ~Eval('archived_at'),
            })
    archived_by = fields.Many2One(
        'company.employee', "Archived By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('archived_by'),
            })
    state = fields.Selection([
            ('collecting', "Collecting"),
            ('complete', "Complete"),
            ('archived', "Archived"),
            ('due', "Due for Disposal"),
            ('disposed', "Disposed"),
            ], "State", required=True, readonly=True, sort=False)
    state_string = state.translated('state')

    @classmethod
    def __setup__(cls):
        cls.number.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls.search_text.search_full_text = False
        cls.search_text.search_unaccented = False
        cls._sql_constraints += [
            ('number_unique', Unique(t, t.number, t.company),
                'order_archive.msg_archive_number_unique'),
            ('sale_open_unique',
                Exclude(t, (t.sale, Equal), where=t.state.in_(_OPEN)),
                'order_archive.msg_archive_sale_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.sale, Index.Equality())),
                Index(t, (t.supplement_of, Index.Equality())),
                Index(t, (t.class_, Index.Equality())),
                Index(
                    t,
                    (t.party, Index.Equality()),
                    (t.id, Index.Range(order='DESC'))),
                Index(
                    t,
                    (t.state, Index.Equality(cardinality='low')),
                    (t.deadline, Index.Range()),
                    where=t.state.in_(_OPEN)),
                })
        cls._order = [('id', 'DESC')]
        cls._buttons.update({
                'upload': {
                    'invisible': ~Eval('state').in_(_OPEN),
                    'icon': 'tryton-add',
                    'depends': ['state'],
                    },
                'waive': {
                    'invisible': ~Eval('state').in_(_OPEN),
                    'icon': 'tryton-clear',
                    'depends': ['state'],
                    },
                'close': {
                    'invisible': ~Eval('state').in_(_OPEN),
                    'icon': 'tryton-archive',
                    'depends': ['state'],
                    },
                'supplement': {
                    'invisible': ~Eval('state').in_(['archived', 'due']),
                    'icon': 'tryton-add',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def __register__(cls, module):
        super().__register__(module)
        if backend.name == 'postgresql':
            # trytond only has indexes of trigrams, which need an extension
            Transaction().connection.cursor().execute(
                'CREATE INDEX IF NOT EXISTS order_archive_search '
                'ON order_archive USING GIN (search_index)')

    @classmethod
    def copy(cls, archives, default=None):
        # Before the database refuses the same number
        if archives:
            cls._deny_modification('create', archives)
        return []

    @classmethod
    def default_state(cls):
        return 'collecting'

    @classmethod
    def domain_search_text(cls, domain, tables):
        table, _ = tables[None]
        _, operator, value = domain
        field, column = cls.search_text, table.search_text
        expression = field._domain_add_null(
            column, operator, value, fields.SQL_OPERATORS[operator](
                column, field._domain_value(operator, value)))
        if (operator == 'like' and backend.name == 'postgresql'
                and not cls._is_frequent(expression, table)):
            text = re.sub(r'(?<!\\)[%_]', ' ', value)
            if text := unescape_wildcard(text).strip():
                expression &= _Match(table.search_index, _grams_query(text))
        return expression

    @classmethod
    def _is_frequent(cls, expression, table):
        """Return whether the expression holds for 1 % of the newest files

        These are then found faster one by one than all through the index, of
        which PostgreSQL expects far fewer."""
        cursor = Transaction().connection.cursor()
        newest = table.select(
            expression.as_('found'), order_by=table.id.desc, limit=2000)
        cursor.execute(*newest.select(Count(), where=newest.found))
        number, = cursor.fetchone()
        return number >= 20

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, value = clause
        if not isinstance(value, str) or 'like' not in operator:
            return [('number', *clause[1:])]
        domain = ['AND', *(
                ('search_text', 'like', f'%{_normalize(word)}%')
                for word in value.replace('%', ' ').split())]
        if operator.startswith('not'):
            # Those who do not read the text search it all the same
            with without_check_access():
                return [('id', 'not in', cls.search(domain, query=True))]
        return domain

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['archived', 'disposed']), 'muted', '')),
            ('/tree/field[@name="deadline"]', 'visual',
                If(Bool(Eval('late')), 'danger', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'complete', 'success', '')),
            ]

    @property
    def archive(self):
        return self

    def ledger_values(self):
        return {
            'number': self.number,
            'company': self.company.id,
            'sale': self.sale.id,
            'class': self.class_.code,
            'supplement_of': (
                self.supplement_of.number if self.supplement_of else None),
            'opened_at': _isoformat(self.opened_at),
            'sale_number': self.sale_number,
            'sale_date': _isoformat(self.sale_date),
            'reference': self.reference,
            'description': self.description,
            'party': self.party.id,
            'party_name': self.party_name,
            'party_code': self.party_code,
            'done_on': _isoformat(self.done_on),
            'deadline': _isoformat(self.deadline),
            'archived_at': _isoformat(self.archived_at),
            'archived_by': self.archived_by.id if self.archived_by else None,
            'state': self.state,
            }

    def get_confidential(self, name):
        return bool(self.class_.confidential)

    @classmethod
    def search_confidential(cls, name, clause):
        return [('class_.' + clause[0], *clause[1:])]

    @classmethod
    @without_check_access
    def get_products(cls, archives, name):
        archives = cls.browse(archives)
        return {
            a.id: list(dict.fromkeys(
                    l.product.id for l in a.sale.lines if l.product))
            for a in archives}

    @classmethod
    def search_products(cls, name, clause):
        return [('sale.lines.product' + clause[0][len(name):], *clause[1:])]

    @classmethod
    def get_late(cls, archives, name):
        pool = Pool()
        Date = pool.get('ir.date')
        today = Date.today()
        return {
            a.id: bool(
                a.state in _OPEN and a.deadline and a.deadline < today)
            for a in archives}

    @classmethod
    def search_late(cls, name, clause):
        pool = Pool()
        Date = pool.get('ir.date')
        late = [
            ('state', 'in', _OPEN),
            ('deadline', '<', Date.today()),
            ]
        return _search_boolean(
            clause, late,
            lambda: [('id', 'not in', cls.search(late, query=True))])

    @classmethod
    @without_check_access
    def get_missing_text(cls, archives, name):
        archives = cls.browse(archives)
        texts = dict.fromkeys(map(int, archives))
        open_ = [a for a in archives if a.state in _OPEN]
        for archive, problems in cls._get_problems(open_).items():
            texts[archive.id] = '\n'.join(problems)
        return texts

    # Opening

    @classmethod
    @without_check_access
    def get(cls, sales):
        "Return by sale the file that takes its documents, if it has one"
        return {
            a.sale: a for a in cls.search([
                    ('sale', 'in', list(map(int, sales))),
                    ('state', 'in', _OPEN),
                    ])} if sales else {}

    @classmethod
    @without_check_access
    def open(cls, sales, seal=True):
        """Open a file for each of the orders that has none which takes
        documents and return by sale the file that does.

        If a file has been closed already it is a supplement. Orders for which
        the file plan has no class get none. Their products and contracts are
        searched once documents are collected."""
        pool = Pool()
        Class = pool.get('order.archive.class')
        Configuration = pool.get('order.archive.configuration')
        Event = pool.get('order.archive.event')
        if not sales:
            return {}
        config = Configuration(1)
        archives, last = {}, {}
        by_id = {s.id: s for s in sales}
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        # Each order is confirmed with it, and hardly any has one
        cursor.execute(*table.select(
                table.id, table.sale, table.state,
                where=fields.SQL_OPERATORS['in'](table.sale, list(by_id)),
                order_by=table.id))
        rows = cursor.fetchall()
        for archive, (_, sale, state) in zip(
                cls.browse([id_ for id_, *_ in rows]), rows):
            last[by_id[sale]] = archive
            if state in _OPEN:
                archives[by_id[sale]] = archive
        to_open = [s for s in sales if s not in archives]
        classes = Class.get_classes([s for s in to_open if s not in last])
        classes.update((s, a.class_) for s, a in last.items())
        now = _now()
        opened = {}
        empty = dict.fromkeys(
            n for n, f in cls._fields.items()
            if n != 'id' and f.sql_type()
            and not isinstance(f, fields.Function))
        for company, c_sales in group_by_company(
                [s for s in to_open if s in classes]):
            sequence = config.get_archive_sequence(company)
            to_create = []
            for number, sale in zip(
                    sequence.get_many(len(c_sales)), c_sales):
                values = {
                    'number': number,
                    'company': company.id,
                    'sale': sale.id,
                    'class_': classes[sale].id,
                    'supplement_of': last[sale].id if sale in last else None,
                    'opened_at': now,
                    'state': 'collecting',
                    **cls._get_copied(sale)}
                text = cls._format_search(values[n] for n in cls._searched())
                to_create.append({**values, 'search_text': text})
            # Each order is confirmed with it
            ids = _insert(cls, [{
                        **values,
                        'search_index': _grams(values['search_text']),
                        } for values in to_create])
            # Nobody else can lock them
            Transaction().create_records[cls.__name__].extend(ids)
            Event.record('open', [
                    cls(id_, **{**empty, **values, 'class_': classes[sale]})
                    for id_, values, sale in zip(ids, to_create, c_sales)],
                seal=seal)
            opened.update(zip(c_sales, cls.browse(ids)))
        if done := [s for s in opened if s.state in {'done', 'cancelled'}]:
            cls.set_done(done)
        archives.update(opened)
        return archives

    @classmethod
    def _get_copied(cls, sale):
        "Return what the file keeps of the order itself"
        return {
            'sale_number': sale.number,
            'sale_date': sale.sale_date,
            'reference': sale.reference,
            'description': sale.description,
            'party': sale.party.id,
            'party_name': sale.party.name,
            'party_code': sale.party.code,
            }

    @classmethod
    @without_check_access
    def set_done(cls, sales):
        "The orders are done: what is missing in their files must be added"
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        Date = pool.get('ir.date')
        Event = pool.get('order.archive.event')
        config = Configuration(1)
        for company, archives in group_by_company(
                [a for a in cls.get(sales).values() if not a.done_on]):
            with Transaction().set_context(company=company.id):
                today = Date.today()
            days = config.get_multivalue('archive_days', company=company.id)
            with _recording():
                cls.write(archives, {
                        'done_on': today,
                        'deadline': (
                            company.add_working_days(today, days)
                            if days is not None else None),
                        })
            Event.record('done', archives)
            cls.__queue__.update(archives)

    @classmethod
    @without_check_access
    def reopen(cls, sales):
        """The orders are not done any more: those whose files are closed get
        a supplement"""
        pool = Pool()
        Event = pool.get('order.archive.event')
        with_file = {
            a.sale for a in cls.search([
                    ('sale', 'in', list(map(int, sales)))])}
        before = cls.get(sales)
        archives = cls.open([s for s in sales if s in with_file])
        # What collects does it for the others
        cls.update_search([a for s, a in archives.items() if s not in before])
        archives = [a for a in cls.browse(archives.values()) if a.done_on]
        if archives:
            with _recording():
                cls.write(archives, {
                        'done_on': None,
                        'deadline': None,
                        'reminded_on': None,
                        'state': 'collecting',
                        })
            Event.record('reopen', archives)

    # What is missing

    @classmethod
    @without_check_access
    def missing(cls, archives):
        "Return by file the texts of the documents that it must have yet"
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        archives = cls.browse(archives)
        config = Configuration(1)
        problems = {
            c: config.get_problems(c)
            for c in {a.company for a in archives}}
        unmet = cls.get_unmet(archives)
        missing = {
            a: problems[a.company] + [u.text for u in unmet.get(a, [])]
            for a in archives}
        return {a: texts for a, texts in missing.items() if texts}

    @classmethod
    @without_check_access
    def get_unmet(cls, archives):
        "Return by file the requirements that it does not meet"
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        archives = cls.browse(archives)
        config = Configuration(1)
        by_class, by_company = {}, {}
        for archive in archives:
            if archive.class_ not in by_class:
                by_class[archive.class_] = archive.class_.all_requirements
            if archive.company not in by_company:
                by_company[archive.company] = config.get_requirements(
                    archive.company)
        required = {}
        for archive in archives:
            requirements = {
                (r.kind.code, r.condition): r
                for r in [
                    *by_company[archive.company], *by_class[archive.class_]]}
            required[archive] = list(requirements.values())
        conditions = {
            r.condition for rs in required.values() for r in rs} - {'always'}
        met = {
            c: getattr(cls, f'_get_{c}')(archives) for c in conditions}
        numbers, waived = cls._count_items(archives)
        unmet = defaultdict(list)
        for archive, requirements in required.items():
            for requirement in requirements:
                key = (archive.sale.id, requirement.kind.code)
                if (key in waived
                        or numbers[key] >= requirement.number
                        or (requirement.condition != 'always'
                            and archive not in met[requirement.condition])):
                    continue
                unmet[archive].append(Unmet(requirement, numbers[key]))
        return unmet

    @classmethod
    def _count_items(cls, archives):
        """Return the number of documents by order and code of kind, and the
        set of those that are waived, in all the files of the orders"""
        pool = Pool()
        Item = pool.get('order.archive.item')
        Kind = pool.get('order.archive.kind')
        numbers, waived = defaultdict(int), set()
        item, kind = Item.__table__(), Kind.__table__()
        archive = cls.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*item
            .join(archive, condition=item.archive == archive.id)
            .join(kind, condition=item.kind == kind.id)
            .select(
                archive.sale, kind.code, item.medium, Count(item.id),
                # What has been disposed of counts if it did before
                where=item.state.in_(['kept', 'disposed'])
                & (item.withdrawn_at == Null) & (item.superseded_by == Null)
                & cls._of_sales(archive.sale, archives),
                group_by=[archive.sale, kind.code, item.medium]))
        for sale, code, medium, number in cursor:
            if medium == 'waiver':
                waived.add((sale, code))
            else:
                numbers[sale, code] += number
        return numbers, waived

    @classmethod
    def _of_sales(cls, column, archives):
        "Return the expression of whether the column is an order of the files"
        return fields.SQL_OPERATORS['in'](
            column, list({a.sale.id for a in archives}))

    @classmethod
    def _get_reviewed(cls, archives):
        return cls._get_with(archives, 'sale.review', ['approved'])

    @classmethod
    def _get_amended(cls, archives):
        return cls._get_with(archives, 'sale.amendment', ['validated'])

    @classmethod
    def _get_produced(cls, archives):
        return cls._get_with(archives, 'production', ['running', 'done'])

    @classmethod
    def _get_inspected(cls, archives):
        return cls._get_with(
            archives, 'quality.inspection', ['passed', 'failed'])

    @classmethod
    def _get_complained(cls, archives):
        return cls._get_with(
            archives, 'sale.complaint',
            ['waiting', 'approved', 'rejected', 'done'])

    @classmethod
    def _get_with(cls, archives, name, states):
        """Return the set of the files to whose orders belongs a record of the
        model in one of the states"""
        records = cls._get_records(archives, name, states)
        return {a for a in archives if records[a.sale.id]}

    @classmethod
    def _get_records(cls, archives, name, states):
        """Return by id of the orders the records of the model in the states,
        none if its module is not activated"""
        pool = Pool()
        records = defaultdict(list)
        try:
            Model = pool.get(name)
        except KeyError:
            return records
        sales = defaultdict(list)
        cursor = Transaction().connection.cursor()
        table = Model.__table__()
        where = table.state.in_(states)
        if 'sale' in Model._fields:
            cursor.execute(*table.select(
                    table.sale, table.id,
                    where=where & cls._of_sales(table.sale, archives)))
            for sale, id_ in cursor:
                sales[id_].append(sale)
        else:
            related = defaultdict(list)
            for sale, id_ in cls._get_related(
                    name, sales=[a.sale.id for a in archives]):
                related[id_].append(sale)
            cursor.execute(*table.select(
                    table.id,
                    where=where & fields.SQL_OPERATORS['in'](
                        table.id, list(related))))
            sales.update((i, related[i]) for i, in cursor)
        for record in Model.browse(sorted(sales)):
            for sale in sales[record.id]:
                records[sale].append(record)
        return records

    @classmethod
    def _get_shipped(cls, archives):
        moves = cls._get_moves(archives, ['done'])
        return {a for a in archives if moves[a.sale.id]}

    @classmethod
    def _get_exported(cls, archives):
        exported = set()
        shipped = cls._get_shipped(archives)
        countries = {c: get_country(c) for c in {a.company for a in shipped}}
        for archive in shipped:
            country = countries[archive.company]
            shipment_address = archive.sale.shipment_address
            if (country and shipment_address and shipment_address.country
                    and shipment_address.country.id != country):
                exported.add(archive)
        return exported

    @classmethod
    def _get_invoiced(cls, archives):
        return cls._get_with(archives, 'account.invoice', ['posted', 'paid'])

    @classmethod
    def _get_moves(cls, archives, states):
        "Return by id of the orders their moves in the states"
        pool = Pool()
        Line = pool.get('sale.line')
        Move = pool.get('stock.move')
        line, move = Line.__table__(), Move.__table__()
        sales = {}
        cursor = Transaction().connection.cursor()
        cursor.execute(*line.join(
                move, condition=move.origin == Concat(
                    'sale.line,', line.id)).select(
                move.id, line.sale,
                where=move.state.in_(states)
                & cls._of_sales(line.sale, archives)))
        sales.update(cursor)
        moves = defaultdict(list)
        for move in Move.browse(sorted(sales)):
            moves[sales[move.id]].append(move)
        return moves

    @classmethod
    @without_check_access
    def gate_problems(cls, archives):
        "Return by file the texts of what of its order is not finished"
        archives = cls.browse(archives)
        problems = defaultdict(list)
        for archive in archives:
            if archive.sale.state not in {'done', 'cancelled'}:
                problems[archive].append(gettext(
                        'order_archive.msg_gate_state',
                        state=archive.sale.state_string))
        moves = cls._get_moves(archives, ['staging', 'draft', 'assigned'])
        invoices = cls._get_records(
            archives, 'account.invoice', ['draft', 'validated', 'posted'])
        for archive in archives:
            for message_id, records in [
                    ('msg_gate_shipments', dict.fromkeys(
                            m.shipment or m for m in moves[archive.sale.id])),
                    ('msg_gate_invoices', invoices[archive.sale.id]),
                    ]:
                if records:
                    problems[archive].append(gettext(
                            f'order_archive.{message_id}',
                            records=', '.join(r.rec_name for r in records)))
        for name, states in cls._get_open_states().items():
            records = cls._get_records(archives, name, states)
            for archive in archives:
                if a_records := records[archive.sale.id]:
                    problems[archive].append(gettext(
                            'order_archive.msg_gate_open',
                            model=a_records[0].__names__()['model'],
                            records=', '.join(
                                r.rec_name for r in a_records)))
        return problems

    @classmethod
    def _get_open_states(cls):
        """Return by name of the models whose records must be finished the
        states in which they are not"""
        return {
            'sale.amendment': ['draft'],
            'sale.review': ['open'],
            'sale.review.condition': ['open'],
            # The review that catches up with it is owed
            'sale.review.release': ['used'],
            'production': [
                'request', 'draft', 'waiting', 'assigned', 'running'],
            'quality.inspection': ['pending'],
            'sale.complaint': ['draft', 'waiting', 'approved'],
            }

    @classmethod
    def _get_problems(cls, archives):
        "Return by file all the texts of what prevents it from being archived"
        problems = defaultdict(list)
        for texts in [cls.gate_problems(archives), cls.missing(archives)]:
            for archive, a_texts in texts.items():
                problems[archive].extend(a_texts)
        return problems

    @classmethod
    @without_check_access
    def update(cls, archives):
        """Update whether the files are complete, and tell the archivists of
        those that are from now on"""
        pool = Pool()
        Event = pool.get('order.archive.event')
        archives = [
            a for a in cls.browse(archives) if a.state in _OPEN and a.done_on]
        problems = cls._get_problems(archives)
        complete = [
            a for a in archives
            if a.state == 'collecting' and not problems.get(a)]
        incomplete = [
            a for a in archives
            if a.state == 'complete' and problems.get(a)]
        with _recording():
            if complete:
                cls.write(complete, {'state': 'complete'})
            if incomplete:
                cls.write(incomplete, {'state': 'collecting'})
        if complete:
            Event.record('complete', complete)
            cls.notify(
                complete, 'tryton-archive',
                'order_archive.msg_notification_complete')
        if incomplete:
            Event.record('incomplete', incomplete)

    # Archiving

    @classmethod
    @ModelView.button
    def close(cls, archives):
        "Archive the files: they do not change any more"
        pool = Pool()
        Event = pool.get('order.archive.event')
        archives = [a for a in archives if a.state in _OPEN]
        if not archives:
            return
        cls.lock(archives)
        problems = cls._get_problems(archives)
        if any(problems.values()):
            raise ArchiveError('\n'.join(
                    gettext('order_archive.msg_archive_incomplete',
                        archive=a.rec_name, sale=a.sale.rec_name,
                        missing=' '.join(texts))
                    for a, texts in problems.items() if texts))
        now = _now()
        with _recording():
            for company, c_archives in group_by_company(archives):
                employee = get_employee(company)
                cls.write(c_archives, {
                        'state': 'archived',
                        'archived_at': now,
                        'archived_by': employee.id if employee else None,
                        })
        Event.record('archive', archives, cls._get_documents(archives))

    @classmethod
    def _get_documents(cls, archives):
        "Return by file the details of what it has when it is archived"
        pool = Pool()
        Item = pool.get('order.archive.item')
        table = Item.__table__()
        cursor = Transaction().connection.cursor()
        documents = {a.id: [] for a in archives}
        cursor.execute(*table.select(
                table.archive, table.id,
                where=fields.SQL_OPERATORS['in'](
                    table.archive, list(documents))
                & (table.state == 'kept'),
                order_by=table.id.asc))
        # Without what tells of those that are confidential
        for archive, id_ in cursor:
            documents[archive].append(f'{Item.__name__},{id_}')
        return {a: {'documents': documents[a.id]} for a in archives}

    @classmethod
    @ModelView.button
    def supplement(cls, archives):
        "Open a supplement for what comes after the files were archived"
        cls.update_search(list(cls.open([
                        a.sale for a in archives
                        if a.state not in _OPEN]).values()))

    @classmethod
    @ModelView.button_action('order_archive.wizard_upload')
    def upload(cls, archives):
        pass

    @classmethod
    @ModelView.button_action('order_archive.wizard_waive')
    def waive(cls, archives):
        pass

    @classmethod
    def get_waivable(cls, archive):
        "Return the kinds that the file misses and can do without"
        unmet = cls.get_unmet([archive])[archive]
        needed = {u.requirement.kind for u in unmet
            if not u.requirement.waivable}
        return list(dict.fromkeys(
                u.requirement.kind for u in unmet
                if u.requirement.kind not in needed))

    @classmethod
    @without_check_access
    def do_waive(cls, archive, kind, reason):
        "Let the file do without documents of the kind because of the reason"
        pool = Pool()
        Item = pool.get('order.archive.item')
        if not _has_text(reason):
            raise ArchiveError(gettext('order_archive.msg_waive_reason',
                    kind=kind.rec_name, archive=archive.rec_name))
        if kind not in cls.get_waivable(archive):
            raise ArchiveError(gettext(
                    'order_archive.msg_waive',
                    kind=kind.rec_name, archive=archive.rec_name))
        Item.collect([{
                    'archive': archive,
                    'kind': kind,
                    'medium': 'waiver',
                    'name': gettext('order_archive.msg_waiver_name',
                        kind=kind.rec_name),
                    'reason': reason,
                    }])

    @classmethod
    def collectors(cls):
        """Return by name the methods that fetch documents

        They take files and yield the values with which Item.collect keeps
        what they find."""
        return {}

    # Searching

    @classmethod
    @without_check_access
    def update_search(cls, archives):
        "Update what the catalogue searches"
        archives = cls.browse(archives)
        texts = cls._get_search_texts(archives)
        changed = {}
        for archive in archives:
            text = cls._format_search(texts[archive])
            if text != archive.search_text:
                changed[archive.id] = text
        if not changed:
            return
        # At once, and as no evidence is changed
        table = cls.__table__()
        transaction = Transaction()
        transaction.connection.cursor().execute(*table.update(
                [table.search_text, table.search_index],
                [Case(*((table.id == i, t) for i, t in changed.items())),
                    Case(*(
                            (table.id == i, _grams(t))
                            for i, t in changed.items()))],
                where=fields.SQL_OPERATORS['in'](table.id, list(changed))))
        for models in transaction.cache.values():
            for id_ in changed:
                models.get(cls.__name__, {}).pop(id_, None)
        transaction.counter += 1

    @classmethod
    def _format_search(cls, texts):
        return _normalize('\n'.join(dict.fromkeys(t for t in texts if t)))

    @classmethod
    def _searched(cls):
        "Return the names of the fields by which a file is found"
        return [
            'number', 'sale_number', 'reference', 'description', 'party_name',
            'party_code']

    @classmethod
    def _get_search_texts(cls, archives):
        """Return by file the list of texts by which it is found, without those
        of documents that are confidential"""
        pool = Pool()
        Item = pool.get('order.archive.item')
        Kind = pool.get('order.archive.kind')
        Line = pool.get('sale.line')
        Product = pool.get('product.product')
        cursor = Transaction().connection.cursor()
        texts = {
            a: [getattr(a, n) for n in cls._searched()] for a in archives}
        products = defaultdict(list)
        line = Line.__table__()
        cursor.execute(*line.select(
                line.sale, line.product,
                where=cls._of_sales(line.sale, archives)
                & (line.product != Null),
                order_by=line.id.asc))
        for sale, product in cursor:
            products[sale].append(product)
        names = {
            p.id: [p.name, p.code] for p in Product.browse(
                list({p for ps in products.values() for p in ps}))}
        for archive in archives:
            for product in products[archive.sale.id]:
                texts[archive] += names[product]
        item, kind = Item.__table__(), Kind.__table__()
        by_id = {a.id: a for a in archives}
        cursor.execute(*item
            .join(kind, condition=item.kind == kind.id)
            .select(
                item.archive, item.name, item.source_name,
                where=fields.SQL_OPERATORS['in'](item.archive, list(by_id))
                & ~Coalesce(item.confidential, False)
                & ~Coalesce(kind.confidential, False)
                & (item.state != 'withdrawn'),
                order_by=item.id.asc))
        for id_, *item_names in cursor:
            texts[by_id[id_]] += item_names
        return texts

    @classmethod
    def notify(cls, archives, icon, message_id):
        """Notify the archivist of the company of the files, or the users of
        the group Order Archive of the company if none is configured"""
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        Group = pool.get('res.group')
        ModelData = pool.get('ir.model.data')
        config = Configuration(1)
        for company, c_archives in group_by_company(archives):
            archivist = config.get_multivalue(
                'archivist', company=company.id)
            if archivist:
                users = cls._get_users([('employees', '=', archivist.id)])
            else:
                group = Group(
                    ModelData.get_id('order_archive', 'group_archive'))
                users = cls._get_users([
                        ('groups', '=', group.id),
                        ('companies', '=', company.id),
                        ])
            notify(
                dict.fromkeys(users, c_archives), icon, message_id,
                lambda a: f'{a.number} – {a.sale_number}')

    @classmethod
    @without_check_access
    @per_company
    def remind(cls, company):
        """Update the files of the orders that are done and tell the archivists
        once of those that are late"""
        pool = Pool()
        Date = pool.get('ir.date')
        domain = [
            ('company', '=', company.id),
            ('state', 'in', _OPEN),
            ]
        for archives in grouped_slice(
                cls.search([*domain, ('done_on', '!=', None)]), 1000):
            cls.update(list(archives))
        today = Date.today()
        late = cls.search([
                *domain,
                ('deadline', '<', today),
                ('reminded_on', '=', None),
                ])
        if late:
            with _recording():
                cls.write(late, {'reminded_on': today})
            cls.notify(
                late, 'tryton-warning',
                'order_archive.msg_notification_late')

    @classmethod
    def _get_users(cls, domain):
        pool = Pool()
        User = pool.get('res.user')
        return User.search([('active', '=', True), *domain])


class Item(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.item'
    _leading = {'superseded_by'}

    archive = fields.Many2One(
        'order.archive', "File", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    kind = fields.Many2One(
        'order.archive.kind', "Kind", required=True, readonly=True,
        ondelete='RESTRICT',
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ])
    medium = fields.Selection([
            ('file', "File"),
            ('paper', "Paper Original"),
            ('waiver', "Waiver"),
            ], "Medium", required=True, readonly=True, sort=False)
    name = fields.Char("Name", required=True, readonly=True)
    data = fields.Binary(
        "Data", filename='name', file_id='file_id',
        store_prefix=_PREFIX, readonly=True,
        states={
            'invisible': Eval('medium') != 'file',
            })
    file_id = fields.Char("File ID", readonly=True)
    size = fields.Integer(
        "Size", readonly=True,
        states={
            'invisible': Eval('medium') != 'file',
            })
    sha256 = fields.Char(
        "SHA-256", readonly=True,
        states={
            'invisible': Eval('medium') != 'file',
            },
        help="The fingerprint of the bytes as they were collected.")
    document_date = fields.Date("Document Date", readonly=True)
    source = fields.Char(
        "Source", readonly=True,
        help="The record it was taken from, which may be gone since.")
    source_name = fields.Char(
        "Source Name", readonly=True,
        help="The name that the record had.")
    issue = fields.Char(
        "Issue", readonly=True,
        help="Which state of the source it is.")
    remark = fields.Text(
        "Remark", readonly=True,
        states={
            'invisible': ~Eval('remark'),
            })
    confidential = fields.Boolean(
        "Confidential", readonly=True,
        help="Only the group Order Archive Confidential sees it.")
    secret = fields.Function(
        fields.Boolean("Secret"), 'get_secret', searcher='search_secret')
    collected_at = fields.DateTime(
        "Collected At", required=True, readonly=True)
    collected_by = fields.Many2One(
        'company.employee', "Collected By", readonly=True, ondelete='RESTRICT')
    reason = fields.Text(
        "Reason", readonly=True,
        states={
            'invisible': ~Eval('reason'),
            })
    superseded_by = fields.Many2One(
        'order.archive.item', "Superseded By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('superseded_by'),
            })
    withdrawn_at = fields.DateTime(
        "Withdrawn At", readonly=True,
        states={
            'invisible': ~Eval('withdrawn_at'),
            })
    withdrawn_by = fields.Many2One(
        'company.employee', "Withdrawn By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': ~Eval('withdrawn_by'),
            })
    withdrawal = fields.Text(
        "Reason of Withdrawal", readonly=True,
        states={
            'invisible': ~Eval('withdrawal'),
            })
    archive_state = fields.Function(
        fields.Selection('get_archive_states', "State of the File"),
        'get_archive_state')
    state = fields.Selection([
            ('kept', "Kept"),
            ('superseded', "Superseded"),
            ('withdrawn', "Withdrawn"),
            ('disposed', "Disposed"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints += [
            ('source_kept_unique',
                Exclude(t,
                    (t.archive, Equal), (t.kind, Equal), (t.source, Equal),
                    where=t.state == 'kept'),
                'order_archive.msg_item_source_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.archive, Index.Equality())),
                Index(t, (t.source, Index.Equality())),
                Index(t, (t.kind, Index.Equality())),
                Index(t, (t.superseded_by, Index.Equality())),
                Index(t, (t.file_id, Index.Equality())),
                })
        cls._order = [
            ('archive', 'DESC'),
            ('kind', 'ASC'),
            ('document_date', 'ASC NULLS FIRST'),
            ('id', 'ASC'),
            ]
        cls._buttons.update({
                'withdraw': {
                    'invisible': ((Eval('state') != 'kept')
                        | ~Eval('archive_state').in_(_OPEN)),
                    'icon': 'tryton-cancel',
                    'depends': ['state', 'archive_state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'kept'

    @classmethod
    def get_archive_states(cls):
        pool = Pool()
        Archive = pool.get('order.archive')
        return Archive.fields_get(['state'])['state']['selection']

    def get_secret(self, name):
        return bool(
            self.confidential or self.kind.confidential
            or self.archive.class_.confidential)

    @classmethod
    def search_secret(cls, name, clause):
        return _search_boolean(clause, ['OR',
                ('confidential', '=', True),
                ('kind.confidential', '=', True),
                ('archive.class_.confidential', '=', True),
                ], lambda: [
                ('confidential', '=', False),
                ('kind.confidential', '=', False),
                ('archive.class_.confidential', '=', False),
                ])

    def get_archive_state(self, name):
        return self.archive.state

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('state') != 'kept', 'muted', '')),
            ]

    def ledger_values(self):
        return {
            'archive': self.archive.number,
            'company': self.company.id,
            'kind': self.kind.code,
            'medium': self.medium,
            'name': self.name,
            'size': self.size,
            'sha256': self.sha256,
            'document_date': _isoformat(self.document_date),
            'source': self.source,
            'source_name': self.source_name,
            'issue': self.issue,
            'remark': self.remark,
            'confidential': bool(self.confidential),
            'collected_at': _isoformat(self.collected_at),
            'collected_by': (
                self.collected_by.id if self.collected_by else None),
            'reason': self.reason,
            'superseded_by': (
                self.superseded_by.id if self.superseded_by else None),
            'withdrawn_at': _isoformat(self.withdrawn_at),
            'withdrawn_by': (
                self.withdrawn_by.id if self.withdrawn_by else None),
            'withdrawal': self.withdrawal,
            'state': self.state,
            }

    @classmethod
    @without_check_access
    def collect(cls, values_list):
        """Keep what the values tell and return the items that are new.

        The values have archive, kind and name, data for bytes, medium if it
        is not a file, and what else is known of the document. What the newest
        item of the same source and kind has already, by issue or by bytes, is
        skipped, otherwise that item is superseded."""
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        Kind = pool.get('order.archive.kind')
        archives = Archive.browse(list(dict.fromkeys(
                    int(v['archive']) for v in values_list)))
        if not archives:
            return []
        cls._open(archives)
        newest, there = {}, set()
        for row in cls.search_read([
                    ('archive', 'in', list(map(int, archives))),
                    ], order=[('id', 'ASC')], fields_names=[
                    'archive', 'kind', 'source', 'issue', 'sha256', 'state']):
            if row['source']:
                newest[row['archive'], row['kind'], row['source']] = row
            elif row['sha256'] and row['state'] == 'kept':
                there.add((row['archive'], row['kind'], row['sha256']))
        employees = {
            c: get_employee(c) for c in {a.company for a in archives}}
        by_id = {a.id: a for a in archives}
        now = _now()
        to_create, later, superseded = {}, [], {}
        for values in values_list:
            values = values.copy()
            archive = by_id[int(values['archive'])]
            values['archive'] = archive.id
            values['kind'] = int(values['kind'])
            values.setdefault('medium', 'file')
            values.setdefault('source')
            data = values.get('data')
            if (values['medium'] == 'file') != (data is not None):
                raise ArchiveError(gettext(
                        'order_archive.msg_item_data',
                        item=values['name'], archive=archive.rec_name))
            if (values['medium'] == 'waiver'
                    and not _has_text(values.get('reason'))):
                raise ArchiveError(gettext(
                        'order_archive.msg_waive_reason',
                        kind=Kind(values['kind']).rec_name,
                        archive=archive.rec_name))
            values['sha256'] = None
            if data is not None:
                values['sha256'] = hashlib.sha256(data).hexdigest()
                values['size'] = len(data)
            key = (archive.id, values['kind'], values['source'])
            if values['source']:
                if key in to_create:
                    later.append(values)
                    continue
                # What has been withdrawn does not come back
                row = newest.get(key)
                if row and (
                        (values.get('issue')
                            and values['issue'] == row['issue'])
                        or (values['sha256']
                            and values['sha256'] == row['sha256'])):
                    continue
                if row and row['state'] == 'kept':
                    superseded[key] = row['id']
            else:
                key = (archive.id, values['kind'], values['sha256'])
                if key in there:
                    continue
                if values['sha256']:
                    there.add(key)
                key = (*key, len(to_create))
            employee = employees[archive.company]
            to_create[key] = {
                **values,
                'confidential': bool(values.get('confidential')),
                'company': archive.company.id,
                'collected_at': now,
                'collected_by': employee.id if employee else None,
                }
        if not to_create:
            return []
        previous = cls.browse(list(superseded.values()))
        with _recording():
            # First, as only one of a source is kept
            if previous:
                cls.write(previous, {'state': 'superseded'})
            items = cls.create([cls._store(v) for v in to_create.values()])
            by_key = dict(zip(to_create, items))
            to_write = []
            for key, item in zip(superseded, previous):
                to_write.extend(([item], {'superseded_by': by_key[key].id}))
            if to_write:
                cls.write(*to_write)
        for item, values in zip(items, to_create.values()):
            if (values['medium'] == 'file'
                    and filestore.get(item.file_id, _PREFIX)
                    != values['data']):
                raise ArchiveError(gettext(
                        'order_archive.msg_item_stored',
                        item=item.name, archive=item.archive.rec_name))
        if previous:
            Event.record('supersede', previous)
        Event.record('collect', items)
        if later:
            items += cls.collect(later)
        else:
            cls._changed(items)
        return items

    @classmethod
    def _store(cls, values):
        "Return the values with their bytes in the filestore"
        # The field would do it with two queries for each
        values = values.copy()
        data = values.pop('data', None)
        if data is not None:
            values['file_id'] = store(data, _PREFIX)
        return values

    @classmethod
    def _open(cls, archives):
        "Lock the files, or raise ArchiveError if one does not change any more"
        pool = Pool()
        Archive = pool.get('order.archive')
        # What collects has locked them without preventing new references
        if not Transaction().context.get('_locked'):
            Archive.lock(archives)
        for archive in archives:
            if archive.state not in _OPEN:
                raise ArchiveError(gettext(
                        'order_archive.msg_archive_closed',
                        archive=archive.rec_name, state=archive.state_string))

    @classmethod
    def _changed(cls, items):
        pool = Pool()
        Archive = pool.get('order.archive')
        # What collects does it when it has forgotten what it collected
        if not Transaction().context.get('_locked'):
            archives = Archive.browse(list({i.archive for i in items}))
            Archive.update_search(archives)
            Archive.update(archives)

    @classmethod
    @ModelView.button_action('order_archive.wizard_item_withdraw')
    def withdraw(cls, items):
        pass

    @classmethod
    @without_check_access
    def do_withdraw(cls, items, reason):
        "Withdraw the items because of the reason: they do not count any more"
        pool = Pool()
        Event = pool.get('order.archive.event')
        items = [i for i in cls.browse(items) if i.state == 'kept']
        if not items:
            return
        if not _has_text(reason):
            raise ArchiveError(gettext('order_archive.msg_withdraw_reason',
                    item=items[0].rec_name,
                    archive=items[0].archive.rec_name))
        cls._open(list({i.archive for i in items}))
        now = _now()
        with _recording():
            for company, c_items in group_by_company(items):
                employee = get_employee(company)
                cls.write(c_items, {
                        'state': 'withdrawn',
                        'withdrawn_at': now,
                        'withdrawn_by': employee.id if employee else None,
                        'withdrawal': reason,
                        })
        Event.record('withdraw', items)
        cls._changed(items)


class Open(Wizard):
    "Open the files of orders that were confirmed before there was a plan"
    __name__ = 'order.archive.open'

    start_state = 'open_'
    open_ = StateAction('order_archive.act_archive_form')

    def do_open_(self, action):
        pool = Pool()
        Archive = pool.get('order.archive')
        sales = [
            s for s in self.records
            if s.state in {'confirmed', 'processing', 'done'}]
        before = Archive.get(sales)
        with without_check_access():
            closed = {
                a.sale for a in Archive.search([
                        ('sale', 'in', [s.id for s in sales])])}
        archives = Archive.open([
                s for s in sales if s in before or s not in closed])
        if new := [a for s, a in archives.items() if s not in before]:
            Archive.collect(new)
        action['domains'] = []
        action['pyson_domain'] = PYSONEncoder().encode([
                ('sale', 'in', [s.id for s in sales])])
        return action, {}


class Withdraw(Wizard):
    __name__ = 'order.archive.item.withdraw'

    start = StateView('order.archive.item.withdraw.start',
        'order_archive.item_withdraw_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Withdraw", 'withdraw', 'tryton-ok', default=True),
            ])
    withdraw = StateTransition()

    def transition_withdraw(self):
        self.model.do_withdraw(self.records, self.start.reason)
        return 'end'

    def end(self):
        return 'reload'


class WithdrawStart(ModelView):
    __name__ = 'order.archive.item.withdraw.start'

    reason = fields.Text("Reason", required=True)


class Waive(Wizard):
    __name__ = 'order.archive.waive'

    start = StateView('order.archive.waive.start',
        'order_archive.waive_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Waive", 'waive', 'tryton-ok', default=True),
            ])
    waive = StateTransition()

    def default_start(self, fields):
        kinds = [k.id for k in self.model.get_waivable(self.record)]
        return {
            'kinds': kinds,
            'kind': kinds[0] if len(kinds) == 1 else None,
            }

    def transition_waive(self):
        self.model.do_waive(self.record, self.start.kind, self.start.reason)
        return 'end'

    def end(self):
        return 'reload'


class WaiveStart(ModelView):
    __name__ = 'order.archive.waive.start'

    kinds = fields.Many2Many('order.archive.kind', None, None, "Kinds")
    kind = fields.Many2One(
        'order.archive.kind', "Kind", required=True,
        domain=[
            ('id', 'in', Eval('kinds', [])),
            ],
        help="The kind of document that the file can do without.")
    reason = fields.Text("Reason", required=True)


class Upload(Wizard):
    __name__ = 'order.archive.upload'

    start = StateView('order.archive.upload.start',
        'order_archive.upload_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Add", 'upload', 'tryton-ok', default=True),
            ])
    upload = StateTransition()

    def default_start(self, fields):
        return {
            'company': self.record.company.id,
            }

    def transition_upload(self):
        pool = Pool()
        Item = pool.get('order.archive.item')
        values = {
            'archive': self.record,
            **self.start.get_values(),
            }
        # The server does not check the selections of wizards
        if values['medium'] not in {'file', 'paper'}:
            raise ArchiveError(gettext(
                    'order_archive.msg_upload_medium',
                    item=values['name'], archive=self.record.rec_name))
        if not Item.collect([values]):
            raise ArchiveError(gettext(
                    'order_archive.msg_upload_there',
                    item=values['name'], archive=self.record.rec_name))
        return 'end'

    def end(self):
        return 'reload'


class UploadStart(ModelView):
    __name__ = 'order.archive.upload.start'

    company = fields.Many2One('company.company', "Company", readonly=True)
    kind = fields.Many2One(
        'order.archive.kind', "Kind", required=True,
        domain=[
            ('company', 'in', [Eval('company', -1), None]),
            ])
    medium = fields.Selection([
            ('file', "File"),
            ('paper', "Paper Original"),
            ], "Medium", required=True, sort=False)
    data = fields.Binary(
        "File", filename='filename',
        states={
            'invisible': Eval('medium') != 'file',
            'required': Eval('medium') == 'file',
            })
    filename = fields.Char("File Name")
    name = fields.Char(
        "Name",
        states={
            'required': Eval('medium') == 'paper',
            },
        help="Leave empty for the name of the file.")
    document_date = fields.Date("Document Date", required=True)

    @classmethod
    def default_medium(cls):
        return 'file'

    @classmethod
    def default_document_date(cls):
        pool = Pool()
        Date = pool.get('ir.date')
        return Date.today()

    def get_values(self):
        "Return the values of the item"
        return {
            'kind': self.kind,
            'medium': self.medium,
            'name': self.name or self.filename or self.kind.rec_name,
            'data': self.data if self.medium == 'file' else None,
            'document_date': self.document_date,
            }
