# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from collections import defaultdict

from sql import Null, Union

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .archive import (
    EvidenceMixin, _Employees, _has_text, _isoformat, _now, _recording,
    _search_boolean)
from .exceptions import HoldError, HoldValidationError
from .plan import _parents
from .retention import (
    SecretMixin, _allow, _check_group, _need_employees, _raise)

_GROUPS = ['group_archive_admin', 'group_archive_disposal']
_SCOPES = ['archives', 'parties', 'classes']


class Hold(EvidenceMixin, ModelSQL, ModelView):
    "What keeps files from being disposed of"
    __name__ = 'order.archive.hold'
    _rec_name = 'matter'
    _leading = {'archives'}

    _states = {'readonly': Eval('id', -1) >= 0}

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT',
        states=_states)
    matter = fields.Char(
        "Legal Matter", required=True, states=_states,
        help="The dispute, audit or inquiry for which the files are needed.")
    reason = fields.Text("Reason", required=True, states=_states)
    archives = fields.Many2Many(
        'order.archive.hold-order.archive', 'hold', 'archive', "Files",
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states=_states)
    parties = fields.Many2Many(
        'order.archive.hold-party.party', 'hold', 'party', "Parties",
        context={
            'company': Eval('company', -1),
            },
        depends={'company'},
        states=_states,
        help="All files of the parties are held.")
    classes = fields.Many2Many(
        'order.archive.hold-order.archive.class', 'hold', 'class_', "Classes",
        domain=[
            ('company', 'in', [None, Eval('company', -1)]),
            ],
        states=_states,
        help="All files of the classes and of those below are held.")
    placed_by = fields.Many2One(
        'company.employee', "Placed By", readonly=True, ondelete='RESTRICT')
    placed_at = fields.DateTime("Placed At", required=True, readonly=True)
    released_by = fields.Many2One(
        'company.employee', "Released By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': Eval('state') != 'released',
            })
    released_at = fields.DateTime(
        "Released At", readonly=True,
        states={
            'invisible': Eval('state') != 'released',
            })
    release_reason = fields.Text(
        "Reason of the Release", readonly=True,
        states={
            'invisible': Eval('state') != 'released',
            })
    state = fields.Selection([
            ('active', "Active"),
            ('released', "Released"),
            ], "State", required=True, readonly=True, sort=False)

    del _states

    # What the ledger tells of it
    archive = None

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('placed_at', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.update({
                Index(t, (t.state, Index.Equality(cardinality='low')),
                    (t.company, Index.Equality()),
                    where=t.state == 'active'),
                Index(t, (t.placed_at, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='DESC'))),
                })
        cls._buttons.update({
                'release': {
                    'invisible': Eval('state') != 'active',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_state(cls):
        return 'active'

    @classmethod
    def default_placed_at(cls):
        return _now()

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('state') == 'released', 'muted', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'active', 'warning', '')),
            ]

    def ledger_values(self):
        def employee(employee):
            return employee.id if employee else None

        return {
            'company': self.company.id,
            'matter': self.matter,
            'reason': self.reason,
            'archives': sorted(a.id for a in self.archives),
            'parties': sorted(p.id for p in self.parties),
            'classes': sorted(c.id for c in self.classes),
            'placed_by': employee(self.placed_by),
            'placed_at': _isoformat(self.placed_at),
            'released_by': employee(self.released_by),
            'released_at': _isoformat(self.released_at),
            'release_reason': self.release_reason,
            'state': self.state,
            }

    @classmethod
    def create(cls, vlist):
        pool = Pool()
        Company = pool.get('company.company')
        Event = pool.get('order.archive.event')
        _check_group(*_GROUPS)
        vlist = [v.copy() for v in vlist]
        employees = _Employees()
        for values in vlist:
            values.setdefault('company', cls.default_company())
            # What the server knows better than who asks
            employee = None
            if values['company']:
                employee = employees[Company(values['company'])]
            values.update(
                placed_by=employee.id if employee else None,
                placed_at=cls.default_placed_at(), state='active',
                released_by=None, released_at=None, release_reason=None)
            # As what is created along with it would be recorded
            if any(action[0] != 'add'
                    for name in _SCOPES
                    for action in values.get(name) or []):
                raise AccessError(gettext(
                        'order_archive.msg_hold_scope_add'))
        with _recording():
            holds = super().create(vlist)
        with without_check_access():
            Event.record('place', cls.browse(holds))
        return holds

    @classmethod
    def copy(cls, holds, default=None):
        # Each is placed on its own
        if holds:
            cls._deny_modification('create', holds)
        return []

    @classmethod
    def validate_fields(cls, holds, field_names):
        super().validate_fields(holds, field_names)
        cls.check_scope(holds, field_names)

    @classmethod
    def check_scope(cls, holds, field_names=None):
        if field_names and not (field_names & set(_SCOPES)):
            return
        for hold in holds:
            if not any(getattr(hold, name) for name in _SCOPES):
                raise HoldValidationError(gettext(
                        'order_archive.msg_hold_scope',
                        hold=hold.rec_name))

    @classmethod
    @ModelView.button_action('order_archive.wizard_release_hold')
    def release(cls, holds):
        pass

    @classmethod
    def end(cls, holds, reason):
        "Release the holds for the reason"
        _allow(holds, *_GROUPS)
        with without_check_access():
            cls._end(holds, reason)

    @classmethod
    def _end(cls, holds, reason):
        pool = Pool()
        Event = pool.get('order.archive.event')
        cls.lock(holds)
        if not _has_text(reason):
            raise HoldError(gettext('order_archive.msg_hold_reason'))
        holds = cls.browse(holds)
        _raise(HoldError, [
                gettext('order_archive.msg_hold_released', hold=h.rec_name)
                for h in holds if h.state != 'active'])
        employees = _need_employees(holds)
        args = []
        for hold in holds:
            args.extend(([hold], {
                        'state': 'released',
                        'released_by': employees[hold.company].id,
                        'released_at': cls.default_placed_at(),
                        'release_reason': reason,
                        }))
        if args:
            with _recording():
                cls.write(*args)
            Event.record('release', cls.browse(holds))

    @classmethod
    def held(cls):
        """Return the query of the couples of active hold and order

        All the files of an order are held together."""
        pool = Pool()
        Archive = pool.get('order.archive')
        Class = pool.get('order.archive.class')
        HoldArchive = pool.get('order.archive.hold-order.archive')
        HoldClass = pool.get('order.archive.hold-order.archive.class')
        HoldParty = pool.get('order.archive.hold-party.party')
        cursor = Transaction().connection.cursor()

        def query(Relation, condition):
            hold = cls.__table__()
            relation = Relation.__table__()
            archive = Archive.__table__()
            return hold.join(
                relation, condition=relation.hold == hold.id
                ).join(
                    archive, condition=condition(relation, archive)
                    & (archive.company == hold.company)
                    ).select(
                        hold.id.as_('hold'),
                        archive.sale.as_('sale'),
                        where=hold.state == 'active')

        queries = [
            query(HoldArchive, lambda r, a: a.id == r.archive),
            query(HoldParty, lambda r, a: a.party == r.party),
            ]
        # The parties with which those that are held have been merged
        for id_, merged in cls._get_merged().items():
            queries.append(query(
                    HoldParty, lambda r, a, id_=id_, merged=merged: (
                        (r.party == id_) & a.party.in_(merged))))
        # The classes below those that are held
        hold = cls.__table__()
        relation = HoldClass.__table__()
        cursor.execute(*hold.join(
                relation, condition=relation.hold == hold.id
                ).select(
                    relation.class_,
                    where=hold.state == 'active',
                    group_by=relation.class_))
        if held := {id_ for id_, in cursor}:
            with without_check_access(), \
                    Transaction().set_context(active_test=False):
                below = defaultdict(list)
                for class_ in Class.search(
                            [('parent', 'child_of', list(held))]):
                    parent = class_
                    while parent:
                        if parent.id in held:
                            below[parent.id].append(class_.id)
                        parent = parent.parent
            for id_, classes in below.items():
                queries.append(query(
                        HoldClass, lambda r, a, id_=id_, classes=classes: (
                            (r.class_ == id_) & a.class_.in_(classes))))
        return Union(*queries)

    @classmethod
    @without_check_access
    def _get_merged(cls):
        """Return by id of the parties that are held and have been replaced the
        list of the ids of those that replace them"""
        pool = Pool()
        HoldParty = pool.get('order.archive.hold-party.party')
        Party = pool.get('party.party')
        hold, party = cls.__table__(), Party.__table__()
        relation = HoldParty.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*hold
            .join(relation, condition=relation.hold == hold.id)
            .join(party, condition=relation.party == party.id)
            .select(
                party.id,
                where=(hold.state == 'active')
                & (party.replaced_by != Null),
                group_by=party.id))
        merged = {}
        for party in Party.browse([id_ for id_, in cursor]):
            merged[party.id] = ids = []
            while (party := party.replaced_by) and party.id not in ids:
                ids.append(party.id)
        return merged


class Class(metaclass=PoolMeta):
    __name__ = 'order.archive.class'

    @classmethod
    def check_modification(cls, mode, classes, values=None, external=False):
        pool = Pool()
        HoldClass = pool.get('order.archive.hold-order.archive.class')
        super().check_modification(
            mode, classes, values=values, external=external)
        if mode != 'write' or 'parent' not in values:
            return
        with without_check_access():
            above = {
                c: _parents([c.parent]) for c in classes
                if c.parent and c.parent.id != values['parent']}
            for held in HoldClass.search([
                        ('hold.state', '=', 'active'),
                        ('class_', 'in', list(set().union(*above.values()))),
                        ], limit=1):
                raise AccessError(gettext(
                        'order_archive.msg_class_held',
                        class_=next(
                            c for c, ids in above.items()
                            if held.class_.id in ids).rec_name,
                        held=held.class_.rec_name,
                        company=held.hold.company.rec_name))


class HoldArchive(SecretMixin, EvidenceMixin, ModelSQL):
    __name__ = 'order.archive.hold-order.archive'

    hold = fields.Many2One(
        'order.archive.hold', "Hold", required=True, ondelete='RESTRICT')
    archive = fields.Many2One(
        'order.archive', "File", required=True, ondelete='RESTRICT')


class HoldParty(EvidenceMixin, ModelSQL):
    __name__ = 'order.archive.hold-party.party'

    hold = fields.Many2One(
        'order.archive.hold', "Hold", required=True, ondelete='RESTRICT')
    party = fields.Many2One(
        'party.party', "Party", required=True, ondelete='RESTRICT')


class HoldClass(EvidenceMixin, ModelSQL):
    __name__ = 'order.archive.hold-order.archive.class'

    hold = fields.Many2One(
        'order.archive.hold', "Hold", required=True, ondelete='RESTRICT')
    class_ = fields.Many2One(
        'order.archive.class', "Class", required=True, ondelete='RESTRICT')


class ReleaseHold(Wizard):
    "Release the holds"
    __name__ = 'order.archive.hold.release'

    start = StateView('order.archive.hold.release.start',
        'order_archive.hold_release_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Release", 'release', 'tryton-ok', default=True),
            ])
    release = StateTransition()

    def transition_release(self):
        self.model.end(self.records, self.start.reason)
        return 'end'

    def end(self):
        return 'reload'


class ReleaseHoldStart(ModelView):
    __name__ = 'order.archive.hold.release.start'

    reason = fields.Text("Reason", required=True)


class Archive(metaclass=PoolMeta):
    __name__ = 'order.archive'

    held = fields.Function(
        fields.Boolean(
            "Held", help="Whether a hold keeps it from being disposed of."),
        'get_held', searcher='search_held')
    holds = fields.Function(
        fields.Many2Many('order.archive.hold', None, None, "Holds",
            states={
                'invisible': ~Eval('holds'),
                }),
        'get_holds')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="held"]', 'visual',
                If(Bool(Eval('held', False)), 'warning', '')),
            ]

    @classmethod
    def get_held(cls, archives, name):
        holds = cls.get_holds(archives, 'holds')
        return {i: bool(h) for i, h in holds.items()}

    @classmethod
    def get_holds(cls, archives, name):
        pool = Pool()
        Hold = pool.get('order.archive.hold')
        cursor = Transaction().connection.cursor()
        holds = {a.id: [] for a in archives}
        table = cls.__table__()
        for sub_ids in grouped_slice(list(holds), 1000):
            held = Hold.held()
            cursor.execute(*table.join(
                    held, condition=table.sale == held.sale
                    ).select(
                        table.id, held.hold,
                        where=fields.SQL_OPERATORS['in'](
                            table.id, list(sub_ids)),
                        order_by=[table.id, held.hold]))
            for id_, hold in cursor:
                holds[id_].append(hold)
        return holds

    @classmethod
    def search_held(cls, name, clause):
        pool = Pool()
        Hold = pool.get('order.archive.hold')
        held = Hold.held()
        query = held.select(held.sale)
        return _search_boolean(
            clause, [('sale', 'in', query)],
            lambda: [('sale', 'not in', query)])

