# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
from collections import defaultdict

from genshi.core import Markup
from sql import Null
from sql.operators import Equal

from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Exclude, Index, ModelSQL, ModelStorage, ModelView,
    Unique, fields, sequence_ordered, tree)
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.report import Document
from trytond.modules.company_department.tools import (
    get_employee, notify, per_company)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, Id, If
from trytond.transaction import Transaction, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .archive import (
    EvidenceMixin, _Employees, _isoformat, _now, _recording, _search_boolean)
from .exceptions import CustodyError
from .retention import SecretMixin, _allow, _need_employees, _raise

# How long until somebody is reminded again
_REMINDER = dt.timedelta(days=7)


def _id(record):
    return record.id if record else None


def _sequence(name, string, company=None):
    "Return the field of the configuration with the sequence of the type"
    if company is None:
        company = Eval('company', -1)
    return fields.Many2One(
        'ir.sequence', string, required=True,
        domain=[
            ('company', 'in', [company, None]),
            ('sequence_type', '=',
                Id('order_archive', f'sequence_type_{name}')),
            ])


class NumberedMixin(ModelStorage):
    "What gets its number from the sequence of its company"
    __slots__ = ()
    _sequence = None

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def preprocess_values(cls, mode, values):
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        values = super().preprocess_values(mode, values)
        if mode == 'create' and not values.get('number'):
            company = values.get('company', cls.default_company())
            if company is not None:
                if sequence := Configuration(1).get_multivalue(
                        cls._sequence, company=int(company)):
                    values['number'] = sequence.get()
        return values

    @classmethod
    def copy(cls, records, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault('number')
        return super().copy(records, default=default)


class MovedMixin(ModelStorage):
    "What is moved from one place to another, which is recorded"
    __slots__ = ()
    # The fields that tell where it is
    _moved = []

    @classmethod
    def create(cls, vlist):
        records = super().create(vlist)
        cls._record_moves(records, {})
        return records

    @classmethod
    def write(cls, records, values, *args):
        before = {}
        actions = iter((records, values, *args))
        for a_records, a_values in zip(actions, actions):
            if a_values.keys() & set(cls._moved):
                with without_check_access():
                    for record in cls.browse(a_records):
                        before.setdefault(record.id, record._where())
        super().write(records, values, *args)
        cls._record_moves(cls.browse(before), before)

    @classmethod
    @without_check_access
    def _record_moves(cls, records, before):
        pool = Pool()
        Event = pool.get('order.archive.event')
        Move = pool.get('order.archive.move')
        employees = _Employees()
        vlist = []
        for record in cls.browse(records):
            from_, to = before.get(record.id), record._where()
            if from_ == to:
                continue
            vlist.append({
                    'company': record.company.id,
                    'moved': str(record),
                    'from_': str(from_) if from_ else None,
                    'to': str(to) if to else None,
                    'employee': _id(employees[record.company]),
                    'at': _now(),
                    })
        if vlist:
            with _recording():
                moves = Move.create(vlist)
            Event.record('move', moves)

    def _where(self):
        "Return the record of where it is, if anywhere"
        for name in self._moved:
            if value := getattr(self, name):
                return value


class Configuration(metaclass=PoolMeta):
    __name__ = 'order.archive.configuration'

    _company = Eval('context', {}).get('company', -1)

    disposal_sequence = fields.MultiValue(
        _sequence('disposal', "Disposal Sequence", _company))
    volume_sequence = fields.MultiValue(
        _sequence('volume', "Volume Sequence", _company))
    box_sequence = fields.MultiValue(
        _sequence('box', "Box Sequence", _company))

    del _company

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field in {'disposal_sequence', 'volume_sequence', 'box_sequence'}:
            return pool.get('order.archive.configuration.sequence')
        return super().multivalue_model(field)

    @classmethod
    def _default_sequence(cls, name):
        return getattr(
            cls.multivalue_model(name), f'default_{name}')()

    @classmethod
    def default_disposal_sequence(cls, **pattern):
        return cls._default_sequence('disposal_sequence')

    @classmethod
    def default_volume_sequence(cls, **pattern):
        return cls._default_sequence('volume_sequence')

    @classmethod
    def default_box_sequence(cls, **pattern):
        return cls._default_sequence('box_sequence')


class ConfigurationSequence(metaclass=PoolMeta):
    __name__ = 'order.archive.configuration.sequence'

    disposal_sequence = _sequence('disposal', "Disposal Sequence")
    volume_sequence = _sequence('volume', "Volume Sequence")
    box_sequence = _sequence('box', "Box Sequence")

    @classmethod
    def _default_sequence(cls, name):
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        try:
            return ModelData.get_id('order_archive', f'sequence_{name}')
        except KeyError:
            return None

    @classmethod
    def default_disposal_sequence(cls):
        return cls._default_sequence('disposal')

    @classmethod
    def default_volume_sequence(cls):
        return cls._default_sequence('volume')

    @classmethod
    def default_box_sequence(cls):
        return cls._default_sequence('box')


class Place(
        DeactivableMixin, tree(separator=' / '), sequence_ordered(), ModelSQL,
        ModelView):
    "A room, a shelf or a part of it"
    __name__ = 'order.archive.place'

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT')
    code = fields.Char("Code")
    name = fields.Char("Name", required=True)
    parent = fields.Many2One(
        'order.archive.place', "Parent", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    children = fields.One2Many('order.archive.place', 'parent', "Children")
    boxes = fields.One2Many(
        'order.archive.box', 'place', "Boxes", readonly=True)
    volumes = fields.One2Many(
        'order.archive.volume', 'place', "Volumes", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(Index(t, (t.parent, Index.Equality())))

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def check_modification(cls, mode, places, values=None, external=False):
        pool = Pool()
        Move = pool.get('order.archive.move')
        super().check_modification(
            mode, places, values=values, external=external)
        if mode == 'delete':
            with without_check_access():
                moves = Move.search(['OR',
                        ('from_', 'in', list(map(str, places))),
                        ('to', 'in', list(map(str, places))),
                        ], limit=1)
                for move in moves:
                    raise AccessError(gettext(
                            'order_archive.msg_place_moved',
                            place=(
                                move.from_ if move.from_ in places
                                else move.to).rec_name,
                            move=move.rec_name))


class Box(
        NumberedMixin, MovedMixin, DeactivableMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.box'
    _rec_name = 'number'
    _sequence = 'box_sequence'
    _moved = ['place']

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    number = fields.Char("Number", required=True, readonly=True)
    description = fields.Char("Description")
    place = fields.Many2One(
        'order.archive.place', "Place", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    volumes = fields.One2Many(
        'order.archive.volume', 'box', "Volumes", readonly=True)
    moves = fields.One2Many(
        'order.archive.move', 'moved', "Moves", readonly=True)

    @classmethod
    def __setup__(cls):
        cls.number.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._order = [('number', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append(
            ('number_company_unique', Unique(t, t.number, t.company),
                'order_archive.msg_box_number_unique'))
        cls._sql_indexes.update({
                Index(t, (t.number, Index.Equality())),
                Index(t, (t.place, Index.Equality())),
                })

    @classmethod
    def check_modification(cls, mode, boxes, values=None, external=False):
        super().check_modification(
            mode, boxes, values=values, external=external)
        if mode == 'delete' or (
                mode == 'write' and values.keys() & {'number', 'company'}):
            raise AccessError(gettext(
                    'order_archive.msg_box_modify', box=boxes[0].rec_name))


class Volume(EvidenceMixin, NumberedMixin, MovedMixin, ModelSQL, ModelView):
    "Papers that are bound together"
    __name__ = 'order.archive.volume'
    _rec_name = 'number'
    _sequence = 'volume_sequence'
    _moved = ['box', 'place']
    _leading = {'folios'}

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states={
            'readonly': Eval('id', -1) >= 0,
            })
    number = fields.Char("Number", required=True, readonly=True)
    title = fields.Char(
        "Title", required=True,
        states={
            'readonly': Eval('state') != 'open',
            })
    folios = fields.One2Many(
        'order.archive.folio', 'volume', "Folios", readonly=True)
    next_folio = fields.Integer(
        "Next Folio", required=True, readonly=True,
        help="Numbers are given in order and never again.")
    box = fields.Many2One(
        'order.archive.box', "Box", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': Eval('state') == 'destroyed',
            })
    place = fields.Many2One(
        'order.archive.place', "Place", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': Eval('state') == 'destroyed',
            'invisible': Bool(Eval('box')),
            },
        help="Where it is if it is in no box.")
    where = fields.Function(fields.Char("Where"), 'get_where')
    bound_by = fields.Many2One(
        'company.employee', "Bound By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('bound_at'),
            })
    bound_at = fields.DateTime(
        "Bound At", readonly=True,
        states={
            'invisible': ~Eval('bound_at'),
            })
    moves = fields.One2Many(
        'order.archive.move', 'moved', "Moves", readonly=True)
    loans = fields.One2Many(
        'order.archive.loan', 'volume', "Loans", readonly=True)
    lent = fields.Function(
        fields.Boolean("Lent"), 'get_lent', searcher='search_lent')
    state = fields.Selection([
            ('open', "Open"),
            ('bound', "Bound"),
            ('destroyed', "Destroyed"),
            ], "State", required=True, readonly=True, sort=False)

    # What the ledger tells of it
    archive = None

    @classmethod
    def __setup__(cls):
        cls.number.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._order = [('id', 'DESC')]
        cls._sql_constraints.append(
            ('number_company_unique', Unique(t, t.number, t.company),
                'order_archive.msg_volume_number_unique'))
        cls._sql_indexes.update({
                Index(t, (t.number, Index.Equality())),
                Index(t, (t.box, Index.Equality())),
                Index(t, (t.place, Index.Equality())),
                Index(t, (t.state, Index.Equality(cardinality='low')),
                    (t.id, Index.Range(order='DESC'))),
                })
        cls._buttons.update({
                'add_papers': {
                    'invisible': Eval('state') != 'open',
                    'icon': 'tryton-add',
                    'depends': ['state'],
                    },
                'bind': {
                    'invisible': Eval('state') != 'open',
                    'readonly': ~Eval('folios'),
                    'icon': 'tryton-ok',
                    'depends': ['state', 'folios'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'open'

    @classmethod
    def default_next_folio(cls):
        return 1

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'destroyed', 'muted',
                    If(Bool(Eval('lent', False)), 'warning', ''))),
            ]

    def get_where(self, name):
        if self.box:
            return ' / '.join(filter(None, [
                        self.box.place.rec_name if self.box.place else None,
                        self.box.rec_name]))
        return self.place.rec_name if self.place else None

    def get_rec_name(self, name):
        return f'{self.number} {self.title}'

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, value, *extra = clause
        bool_op = 'AND' if operator.startswith('!') or operator.startswith(
            'not ') else 'OR'
        code_value = value
        if operator.endswith('like') and isinstance(value, str):
            code_value = value.lstrip('%').split(' ')[0]
            if not code_value.endswith('%'):
                code_value += '%'
        return [bool_op,
            ('number', operator, code_value, *extra),
            ('title', operator, value, *extra),
            ]

    @classmethod
    def get_lent(cls, volumes, name):
        pool = Pool()
        Loan = pool.get('order.archive.loan')
        with without_check_access():
            lent = {
                l.volume.id for l in Loan.search([
                        ('volume', 'in', [v.id for v in volumes]),
                        ('state', '=', 'lent'),
                        ])}
        return {v.id: v.id in lent for v in volumes}

    @classmethod
    def search_lent(cls, name, clause):
        pool = Pool()
        Loan = pool.get('order.archive.loan')
        return _search_lent(clause, Loan.lent_volumes())

    def ledger_values(self):
        return {
            'number': self.number,
            'company': self.company.id,
            'title': self.title,
            'folios': [
                [f.first, f.last, f.item.id, _id(f.employee),
                    _isoformat(f.at), f.state]
                for f in self.folios],
            'next_folio': self.next_folio,
            'box': _id(self.box),
            'place': _id(self.place),
            'bound_by': _id(self.bound_by),
            'bound_at': _isoformat(self.bound_at),
            'state': self.state,
            }

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            values.update(
                state='open', next_folio=1, bound_by=None, bound_at=None)
        return values

    @classmethod
    def check_modification(cls, mode, volumes, values=None, external=False):
        # What people fill in themselves
        opened = {'title', 'box', 'place'}
        if mode == 'create' or (mode == 'write' and (
                    values.keys() <= opened
                    and all(v.state == 'open' for v in volumes)
                    or values.keys() <= opened - {'title'}
                    and all(v.state == 'bound' for v in volumes))):
            with _recording():
                super().check_modification(
                    mode, volumes, values=values, external=external)
        else:
            super().check_modification(
                mode, volumes, values=values, external=external)

    @classmethod
    def on_modification(cls, mode, volumes, field_names=None):
        pool = Pool()
        Event = pool.get('order.archive.event')
        super().on_modification(mode, volumes, field_names=field_names)
        if mode == 'create':
            Event.record('create', volumes)
        elif mode == 'write' and set(field_names) & {'title', 'box', 'place'}:
            Event.record('change', volumes)

    @classmethod
    def copy(cls, volumes, default=None):
        default = default.copy() if default is not None else {}
        for name in ['folios', 'moves', 'loans']:
            default.setdefault(name)
        return super().copy(volumes, default=default)

    @classmethod
    @ModelView.button_action('order_archive.wizard_add_papers')
    def add_papers(cls, volumes):
        pass

    @classmethod
    def file(cls, volume, papers):
        """Give the papers, couples of item and number of leaves, the next
        folios of the volume"""
        _allow([volume, *(i for i, _ in papers)], 'group_archive')
        with without_check_access():
            cls._file(volume, papers)

    @classmethod
    def _file(cls, volume, papers):
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        Folio = pool.get('order.archive.folio')
        cls.lock([volume])
        Archive.lock({item.archive for item, _ in papers})
        volume = cls(volume.id)
        volume._need_open()
        filed = {
            f.item: f.volume for f in Folio.search([
                    ('item', 'in', [i.id for i, _ in papers]),
                    ('state', '=', 'filed'),
                    ])}
        employee = get_employee(volume.company)
        vlist, problems, seen = [], [], set()
        first = volume.next_folio
        for item, leaves in papers:
            message, values = None, {}
            if (item.medium != 'paper' or item.state == 'disposed'
                    or item.archive.company != volume.company):
                message = 'msg_volume_paper'
            elif item in filed or item in seen:
                message = 'msg_volume_filed'
                values['other'] = filed.get(item, volume).rec_name
            elif not leaves or leaves < 1:
                message = 'msg_volume_leaves'
            if message:
                problems.append(gettext(
                        f'order_archive.{message}',
                        item=item.rec_name, volume=volume.rec_name, **values))
                continue
            seen.add(item)
            vlist.append({
                    'volume': volume.id,
                    'company': volume.company.id,
                    'item': item.id,
                    'first': first,
                    'last': first + leaves - 1,
                    'employee': _id(employee),
                    'at': _now(),
                    'state': 'filed',
                    })
            first += leaves
        _raise(CustodyError, problems)
        if not vlist:
            return
        with _recording():
            Folio.create(vlist)
            cls.write([volume], {'next_folio': first})
        Event.record('file', [cls(volume.id)])

    def _need_open(self):
        if self.state != 'open':
            raise CustodyError(gettext(
                    'order_archive.msg_volume_sealed',
                    volume=self.rec_name))

    @classmethod
    @ModelView.button
    def bind(cls, volumes):
        _allow(volumes, 'group_archive')
        with without_check_access():
            cls._bind(volumes)

    @classmethod
    def _bind(cls, volumes):
        pool = Pool()
        Event = pool.get('order.archive.event')
        cls.lock(volumes)
        volumes = cls.browse(volumes)
        for volume in volumes:
            volume._need_open()
            if not any(f.state == 'filed' for f in volume.folios):
                raise CustodyError(gettext(
                        'order_archive.msg_volume_empty',
                        volume=volume.rec_name))
        employees = _need_employees(volumes)
        args = []
        for volume in volumes:
            args.extend(([volume], {
                        'state': 'bound',
                        'bound_by': employees[volume.company].id,
                        'bound_at': _now(),
                        }))
        if args:
            with _recording():
                cls.write(*args)
            Event.record('bind', cls.browse(volumes))


class Folio(SecretMixin, EvidenceMixin, ModelSQL, ModelView):
    "The leaves of a volume on which a paper is"
    __name__ = 'order.archive.folio'
    _secret = 'item.secret'

    volume = fields.Many2One(
        'order.archive.volume', "Volume", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    item = fields.Many2One(
        'order.archive.item', "Document", required=True, readonly=True,
        ondelete='RESTRICT')
    archive = fields.Function(
        fields.Many2One('order.archive', "File"), 'get_archive',
        searcher='search_archive')
    first = fields.Integer("From Folio", required=True, readonly=True)
    last = fields.Integer("To Folio", required=True, readonly=True)
    employee = fields.Many2One(
        'company.employee', "Filed By", readonly=True, ondelete='RESTRICT')
    at = fields.DateTime("Filed At", required=True, readonly=True)
    volume_state = fields.Function(
        fields.Char("State of the Volume"), 'get_volume_state')
    state = fields.Selection([
            ('filed', "Filed"),
            ('removed', "Removed"),
            ('disposed', "Disposed"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('volume', 'DESC'), ('first', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints += [
            ('first_unique', Unique(t, t.volume, t.first),
                'order_archive.msg_folio_unique'),
            ('item_exclude',
                Exclude(t, (t.item, Equal), where=t.state == 'filed'),
                'order_archive.msg_folio_item_unique'),
            ]
        cls._sql_indexes.add(Index(t, (t.item, Index.Equality())))
        cls._buttons.update({
                'remove': {
                    'invisible': (
                        (Eval('state') != 'filed')
                        | (Eval('volume_state') != 'open')),
                    'icon': 'tryton-remove',
                    'depends': ['state', 'volume_state'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('state') != 'filed', 'muted', '')),
            ]

    @property
    def numbers(self):
        "The folio numbers as people write them"
        if self.first == self.last:
            return str(self.first)
        return f'{self.first}–{self.last}'

    def get_rec_name(self, name):
        return f'{self.volume.number} / {self.numbers}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('volume.rec_name', *clause[1:])]

    def get_archive(self, name):
        return self.item.archive.id

    @classmethod
    def search_archive(cls, name, clause):
        return [('item.' + clause[0], *clause[1:])]

    def get_volume_state(self, name):
        return self.volume.state

    @classmethod
    @ModelView.button
    def remove(cls, folios):
        _allow(folios, 'group_archive')
        with without_check_access():
            cls._remove(folios)

    @classmethod
    def _remove(cls, folios):
        pool = Pool()
        Event = pool.get('order.archive.event')
        Volume = pool.get('order.archive.volume')
        Volume.lock({f.volume for f in folios})
        folios = [f for f in cls.browse(folios) if f.state == 'filed']
        for folio in folios:
            folio.volume._need_open()
        if folios:
            volumes = Volume.browse({f.volume.id for f in folios})
            with _recording():
                cls.write(folios, {'state': 'removed'})
                # Whoever changes them at the same time must start again
                Volume.write(volumes, {})
            Event.record('remove', Volume.browse(volumes))

    @classmethod
    def dispose(cls, archives):
        "Destroy the papers of the files, and the volumes that have no others"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Volume = pool.get('order.archive.volume')
        folios = cls.search([
                ('item.archive', 'in', [a.id for a in archives]),
                ('state', '=', 'filed'),
                ])
        if not folios:
            return
        volumes = Volume.browse({f.volume.id for f in folios})
        with _recording():
            cls.write(folios, {'state': 'disposed'})
            Volume.write(volumes, {})
        volumes = Volume.browse(volumes)
        if destroyed := [
                v for v in volumes
                if all(f.state != 'filed' for f in v.folios)]:
            with _recording():
                Volume.write(destroyed, {'state': 'destroyed'})
        Event.record('dispose', Volume.browse(volumes))


class AddPapers(Wizard):
    "Give papers the next folios of a volume"
    __name__ = 'order.archive.volume.add_papers'

    start = StateView('order.archive.volume.add_papers.start',
        'order_archive.volume_add_papers_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Add", 'add', 'tryton-ok', default=True),
            ])
    add = StateTransition()

    def default_start(self, fields):
        return {'company': self.record.company.id}

    def transition_add(self):
        self.model.file(
            self.record, [(p.item, p.leaves) for p in self.start.papers])
        return 'end'

    def end(self):
        return 'reload'


class AddPapersStart(ModelView):
    __name__ = 'order.archive.volume.add_papers.start'

    company = fields.Many2One('company.company', "Company", readonly=True)
    archive = fields.Many2One(
        'order.archive', "File",
        domain=[
            ('company', '=', Eval('company', -1)),
            ('state', '!=', 'disposed'),
            ],
        help="Enters the papers of the file that have no folio yet.")
    papers = fields.One2Many(
        'order.archive.volume.add_papers.paper', None, "Papers",
        context={
            'company': Eval('company', -1),
            },
        depends={'company'})

    @fields.depends('archive', 'papers')
    def on_change_archive(self):
        pool = Pool()
        Item = pool.get('order.archive.item')
        Paper = pool.get('order.archive.volume.add_papers.paper')
        if not self.archive:
            return
        papers = list(self.papers or [])
        entered = {p.item for p in papers}
        for item in Item.search([
                    ('archive', '=', self.archive.id),
                    ('medium', '=', 'paper'),
                    ('state', '!=', 'disposed'),
                    ('folios', 'not where', [('state', '=', 'filed')]),
                    ], order=[('id', 'ASC')]):
            if item not in entered:
                papers.append(Paper(item=item, leaves=1))
        self.papers = papers
        self.archive = None


class AddPapersPaper(ModelView):
    __name__ = 'order.archive.volume.add_papers.paper'

    item = fields.Many2One(
        'order.archive.item', "Paper", required=True,
        domain=[
            ('medium', '=', 'paper'),
            ('state', '!=', 'disposed'),
            ('company', '=', Eval('context', {}).get('company', -1)),
            ])
    leaves = fields.Integer(
        "Leaves", required=True,
        domain=[
            ('leaves', '>=', 1),
            ],
        help="How many folios it takes.")

    @classmethod
    def default_leaves(cls):
        return 1


class Move(EvidenceMixin, ModelSQL, ModelView):
    "From where to where something was moved"
    __name__ = 'order.archive.move'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    moved = fields.Reference(
        "Moved", 'get_models', required=True, readonly=True)
    from_ = fields.Reference("From", 'get_places', readonly=True)
    to = fields.Reference("To", 'get_places', readonly=True)
    employee = fields.Many2One(
        'company.employee', "Moved By", readonly=True, ondelete='RESTRICT')
    at = fields.DateTime("Moved At", required=True, readonly=True)

    # What the ledger tells of it
    archive = None

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('at', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.update({
                Index(t, (t.moved, Index.Equality())),
                Index(t, (t.at, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='DESC'))),
                })

    @classmethod
    def _get_models(cls, *names):
        pool = Pool()
        IrModel = pool.get('ir.model')
        return [(None, "")] + [(n, IrModel.get_name(n)) for n in names]

    @classmethod
    def get_models(cls):
        return cls._get_models('order.archive.box', 'order.archive.volume')

    @classmethod
    def get_places(cls):
        return cls._get_models('order.archive.place', 'order.archive.box')

    def get_rec_name(self, name):
        return self.moved.rec_name

    def ledger_values(self):
        return {
            'company': self.company.id,
            'moved': str(self.moved),
            'from': str(self.from_) if self.from_ else None,
            'to': str(self.to) if self.to else None,
            'employee': _id(self.employee),
            'at': _isoformat(self.at),
            }


class LoanMixin(ModelStorage):
    "What must be back by a day, of which who lent and who borrowed are told"
    __slots__ = ()
    _until = None

    reminded_on = fields.Date("Reminded On", readonly=True)

    @property
    def lent(self):
        "What is lent"
        raise NotImplementedError

    @classmethod
    def remind_overdue(cls, company):
        "Tell in the company of what is overdue, once a week"
        pool = Pool()
        Date = pool.get('ir.date')
        User = pool.get('res.user')
        today = Date.today()
        loans = cls.search([
                ('company', '=', company.id),
                ('state', '=', 'lent'),
                (cls._until, '<', today),
                ['OR',
                    ('reminded_on', '=', None),
                    ('reminded_on', '<=', today - _REMINDER),
                    ],
                ])
        if not loans:
            return
        by_party = defaultdict(list)
        for loan in loans:
            parties = {loan.borrower}
            if loan.lent_by:
                parties.add(loan.lent_by.party)
            for party in parties:
                by_party[party].append(loan)
        by_user = defaultdict(dict)
        for user in User.search([
                    ('employees.party', 'in', [p.id for p in by_party]),
                    ]):
            for employee in user.employees:
                by_user[user].update(
                    dict.fromkeys(by_party.get(employee.party, [])))
        notify(
            by_user, 'tryton-warning',
            'order_archive.msg_notification_overdue',
            lambda l: l.lent.rec_name)
        with _recording():
            cls.write(loans, {'reminded_on': today})


class Loan(LoanMixin, SecretMixin, EvidenceMixin, ModelSQL, ModelView):
    "A volume or the loose papers of a file that somebody has taken"
    __name__ = 'order.archive.loan'
    _until = 'until'

    _states = {'readonly': Eval('id', -1) >= 0}

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states=_states)
    volume = fields.Many2One(
        'order.archive.volume', "Volume", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            If(Eval('id', -1) < 0, ('state', '=', 'bound'), ()),
            ],
        states={
            'readonly': (Eval('id', -1) >= 0) | Bool(Eval('archive')),
            'required': ~Eval('archive'),
            })
    archive = fields.Many2One(
        'order.archive', "File", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            If(Eval('id', -1) < 0, ('state', '!=', 'disposed'), ()),
            ],
        states={
            'readonly': (Eval('id', -1) >= 0) | Bool(Eval('volume')),
            'required': ~Eval('volume'),
            },
        help="The file whose loose papers are lent.")
    borrower = fields.Many2One(
        'party.party', "Borrower", required=True, ondelete='RESTRICT',
        context={
            'company': Eval('company', -1),
            },
        depends={'company'},
        states=_states)
    purpose = fields.Char("Purpose", required=True, states=_states)
    until = fields.Date("Until", required=True, states=_states)
    lent_by = fields.Many2One(
        'company.employee', "Lent By", readonly=True, ondelete='RESTRICT')
    lent_at = fields.DateTime("Lent At", required=True, readonly=True)
    received_by = fields.Many2One(
        'company.employee', "Received By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': Eval('state') != 'returned',
            })
    returned_at = fields.DateTime(
        "Returned At", readonly=True,
        states={
            'invisible': Eval('state') != 'returned',
            })
    overdue = fields.Function(
        fields.Boolean("Overdue"), 'get_overdue', searcher='search_overdue')
    state = fields.Selection([
            ('lent', "Lent"),
            ('returned', "Returned"),
            ], "State", required=True, readonly=True, sort=False)

    del _states

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('until', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints += [
            ('volume_exclude',
                Exclude(t, (t.volume, Equal), where=t.state == 'lent'),
                'order_archive.msg_loan_unique'),
            ('archive_exclude',
                Exclude(t, (t.archive, Equal), where=t.state == 'lent'),
                'order_archive.msg_loan_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.until, Index.Range()), (t.id, Index.Range())),
                Index(t, (t.until, Index.Range()), where=t.state == 'lent'),
                Index(t, (t.volume, Index.Equality())),
                Index(t, (t.archive, Index.Equality())),
                Index(t, (t.borrower, Index.Equality())),
                })
        cls._buttons.update({
                'give_back': {
                    'invisible': Eval('state') != 'lent',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_state(cls):
        return 'lent'

    @classmethod
    def default_lent_at(cls):
        return _now()

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'returned', 'muted',
                    If(Eval('until', Date()) < Date(), 'danger', ''))),
            ]

    @property
    def lent(self):
        "What is lent"
        return self.volume or self.archive

    def get_rec_name(self, name):
        return f'{self.lent.rec_name} – {self.borrower.rec_name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        bool_op = 'AND' if clause[1].startswith('!') or clause[1].startswith(
            'not ') else 'OR'
        return [bool_op,
            ('volume.rec_name', *clause[1:]),
            ('archive.rec_name', *clause[1:]),
            ('borrower.rec_name', *clause[1:]),
            ]

    @classmethod
    def get_overdue(cls, loans, name):
        pool = Pool()
        Date = pool.get('ir.date')
        today = Date.today()
        return {l.id: l.state == 'lent' and l.until < today for l in loans}

    @classmethod
    def search_overdue(cls, name, clause):
        pool = Pool()
        Date = pool.get('ir.date')
        today = Date.today()
        return _search_boolean(
            clause, [('state', '=', 'lent'), ('until', '<', today)],
            lambda: ['OR', ('state', '!=', 'lent'), ('until', '>=', today)])

    @classmethod
    def lent_volumes(cls):
        "Return the query of the volumes that are lent"
        loan = cls.__table__()
        return loan.select(
            loan.volume,
            where=(loan.state == 'lent') & (loan.volume != Null))

    @classmethod
    def lent_sales(cls):
        "Return the query of the orders of whose files papers are lent"
        pool = Pool()
        Archive = pool.get('order.archive')
        Contract = pool.get('sale.contract')
        ContractLoan = pool.get('sale.contract.loan')
        Folio = pool.get('order.archive.folio')
        Item = pool.get('order.archive.item')
        contract_loan = ContractLoan.__table__()
        contract = Contract.__table__()
        contracts = contract_loan.join(
            contract, condition=contract_loan.contract == contract.id
            ).select(contract.sale, where=contract_loan.state == 'lent')
        loan, archive = cls.__table__(), Archive.__table__()
        files = loan.join(
            archive, condition=loan.archive == archive.id
            ).select(archive.sale, where=loan.state == 'lent')
        loan, archive = cls.__table__(), Archive.__table__()
        folio, item = Folio.__table__(), Item.__table__()
        volumes = loan.join(
            folio, condition=(folio.volume == loan.volume)
            & (folio.state == 'filed')
            ).join(
                item, condition=folio.item == item.id
            ).join(
                archive, condition=item.archive == archive.id
            ).select(archive.sale, where=loan.state == 'lent')
        return files | volumes | contracts

    def ledger_values(self):
        return {
            'company': self.company.id,
            'volume': self.volume.number if self.volume else None,
            'archive': self.archive.number if self.archive else None,
            'borrower': self.borrower.id,
            'purpose': self.purpose,
            'until': _isoformat(self.until),
            'lent_by': _id(self.lent_by),
            'lent_at': _isoformat(self.lent_at),
            'received_by': _id(self.received_by),
            'returned_at': _isoformat(self.returned_at),
            'state': self.state,
            }

    @classmethod
    def create(cls, vlist):
        # What the server knows better than who asks
        pool = Pool()
        Company = pool.get('company.company')
        employees = _Employees()
        vlist = [v.copy() for v in vlist]
        for values in vlist:
            company = values.get('company', cls.default_company())
            employee = None
            if company is not None:
                employee = employees[Company(company)]
            values.update(
                lent_by=_id(employee), lent_at=_now(), received_by=None,
                returned_at=None, reminded_on=None, state='lent')
        return super().create(vlist)

    @classmethod
    def _deny_modification(cls, mode, loans):
        # Who may create lends
        if mode != 'create':
            super()._deny_modification(mode, loans)

    @classmethod
    def on_modification(cls, mode, loans, field_names=None):
        pool = Pool()
        Event = pool.get('order.archive.event')
        super().on_modification(mode, loans, field_names=field_names)
        if mode == 'create':
            cls.check_lent(loans)
            Event.record('lend', loans)

    @classmethod
    def check_lent(cls, loans):
        pool = Pool()
        Archive = pool.get('order.archive')
        # As a disposal does, so that neither passes by the other
        Archive.lock(
            {l.archive for l in loans if l.archive}
            | {f.item.archive for l in loans if l.volume
                for f in l.volume.folios})
        problems = []
        for loan in loans:
            if bool(loan.volume) == bool(loan.archive):
                problems.append(gettext(
                        'order_archive.msg_loan_what',
                        borrower=loan.borrower.rec_name))
            elif loan.lent.state in {'open', 'destroyed', 'disposed'}:
                problems.append(gettext(
                        'order_archive.msg_loan_state',
                        record=loan.lent.rec_name,
                        state=loan.lent.__names__('state', loan.lent)[
                            'value']))
        _raise(CustodyError, problems)

    @classmethod
    def copy(cls, loans, default=None):
        # Each is lent on its own
        if loans:
            super()._deny_modification('create', loans)
        return []

    @classmethod
    @ModelView.button
    def give_back(cls, loans):
        _allow(loans, 'group_archive')
        with without_check_access():
            cls._give_back(loans)

    @classmethod
    def _give_back(cls, loans):
        pool = Pool()
        Event = pool.get('order.archive.event')
        cls.lock(loans)
        loans = cls.browse(loans)
        _raise(CustodyError, [
                gettext('order_archive.msg_loan_returned', loan=l.rec_name)
                for l in loans if l.state != 'lent'])
        employees = _need_employees(loans)
        args = []
        for loan in loans:
            args.extend(([loan], {
                        'state': 'returned',
                        'received_by': employees[loan.company].id,
                        'returned_at': _now(),
                        }))
        if args:
            with _recording():
                cls.write(*args)
            Event.record('return', cls.browse(loans))

    @classmethod
    @without_check_access
    @per_company
    def remind(cls, company):
        """Remind who lent and who borrowed of the papers and the originals of
        contracts that are overdue"""
        pool = Pool()
        ContractLoan = pool.get('sale.contract.loan')
        for Model in [cls, ContractLoan]:
            Model.remind_overdue(company)


def _search_lent(clause, query, name='id'):
    return _search_boolean(
        clause, [(name, 'in', query)], lambda: [(name, 'not in', query)])


class Archive(metaclass=PoolMeta):
    __name__ = 'order.archive'

    lent = fields.Function(
        fields.Boolean(
            "Lent", help="Whether somebody has papers of the order."),
        'get_lent', searcher='search_lent')
    loans = fields.One2Many(
        'order.archive.loan', 'archive', "Loans", readonly=True,
        states={
            'invisible': ~Eval('loans'),
            })

    @classmethod
    def get_lent(cls, archives, name):
        with without_check_access():
            lent = {
                a.id for a in cls.search([
                        ('id', 'in', [a.id for a in archives]),
                        ('lent', '=', True),
                        ])}
        return {a.id: a.id in lent for a in archives}

    @classmethod
    def search_lent(cls, name, clause):
        pool = Pool()
        Loan = pool.get('order.archive.loan')
        return _search_lent(clause, Loan.lent_sales(), 'sale')

    @classmethod
    def get_disposal_problems(cls, archives):
        problems = super().get_disposal_problems(archives)
        for archive, lent in cls.get_lent(
                list(problems), 'lent').items():
            if lent:
                archive = cls(archive)
                problems[archive].append(gettext(
                        'order_archive.msg_disposal_lent',
                        archive=archive.rec_name))
        return problems

    @classmethod
    def dispose(cls, archives, disposal):
        pool = Pool()
        Folio = pool.get('order.archive.folio')
        super().dispose(archives, disposal)
        Folio.dispose(cls.family(archives))


class Item(metaclass=PoolMeta):
    __name__ = 'order.archive.item'

    folios = fields.One2Many(
        'order.archive.folio', 'item', "Folios", readonly=True,
        states={
            'invisible': ~Eval('folios'),
            })
    folio = fields.Function(
        fields.Char(
            "Folio", help="The volume and the folios in which it is bound."),
        'get_folio')

    @classmethod
    @without_check_access
    def get_folio(cls, items, name):
        pool = Pool()
        Folio = pool.get('order.archive.folio')
        folios = {
            f.item.id: f.rec_name for f in Folio.search([
                    ('item', 'in', [i.id for i in items]),
                    ('state', '!=', 'removed'),
                    ])}
        return {i.id: folios.get(i.id) for i in items}


class Label(Document):
    "Print labels with the number as QR code"
    __name__ = 'order.archive.label'
    _model = 'order.archive.box'

    @classmethod
    def execute(cls, ids, data):
        cls._get_code('')
        return super().execute(ids, data)

    @classmethod
    def _get_code(cls, text):
        "Return the SVG of the QR code of the text"
        try:
            import segno
        except ImportError as exception:
            raise CustodyError(gettext(
                    'order_archive.msg_label_no_segno')) from exception
        if text:
            return Markup(segno.make_qr(text, error='m').svg_inline(
                    border=2, omitsize=True))

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        context['get_code'] = cls._get_code
        context['get_lines'] = cls._get_lines
        return context

    @classmethod
    def _get_lines(cls, record):
        "Return the texts that are printed beside the code"
        if record.__name__ == 'order.archive.box':
            lines = [
                record.description,
                record.place.rec_name if record.place else None]
        elif record.__name__ == 'order.archive.volume':
            lines = [record.title, record.where]
        else:
            lines = [record.party_name, record.sale_number]
        return [l for l in lines if l]
