# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

from sql import Column, Null

from trytond.filestore import filestore
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company_department.report import Document, Texts
from trytond.modules.company_department.tools import (
    get_employee, group_by_company, notify, per_company)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .archive import EvidenceMixin, _has_text, _isoformat, _now, _recording
from .exceptions import DisposalError
from .retention import (
    SecretMixin, _allow, _need_employee, _need_employees, _raise)
from .storage import remove

_OPEN = ['proposed', 'approved']
_APPROVALS = 2


class Disposal(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.disposal'
    _rec_name = 'number'
    _leading = {'files'}

    number = fields.Char("Number", required=True, readonly=True)
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    prepared_by = fields.Many2One(
        'company.employee', "Prepared By", readonly=True, ondelete='RESTRICT',
        help="Empty if the scheduled task proposed it.")
    prepared_at = fields.DateTime(
        "Prepared At", required=True, readonly=True)
    files = fields.One2Many(
        'order.archive.disposal.file', 'disposal', "Files", readonly=True)
    approvals = fields.One2Many(
        'order.archive.disposal.approval', 'disposal', "Approvals",
        readonly=True)
    executed_by = fields.Many2One(
        'company.employee', "Executed By", readonly=True, ondelete='RESTRICT',
        states={
            'invisible': ~Eval('executed_at'),
            })
    executed_at = fields.DateTime(
        "Executed At", readonly=True,
        states={
            'invisible': ~Eval('executed_at'),
            })
    disposed_at = fields.DateTime(
        "Disposed At", readonly=True,
        states={
            'invisible': ~Eval('disposed_at'),
            },
        help="When the last content was gone from the storage.")
    problems = fields.Function(
        fields.Text("What Holds It",
            states={
                'invisible': ~Eval('problems'),
                }),
        'get_problems')
    number_files = fields.Function(
        fields.Integer("Number of Files"), 'get_number_files')
    state = fields.Selection([
            ('proposed', "Proposed"),
            ('approved', "Approved"),
            ('executing', "Executing"),
            ('disposed', "Disposed"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    # What the ledger tells of it
    archive = None

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('prepared_at', 'DESC'), ('id', 'DESC')]
        cls._sql_constraints.append(
            ('number_unique', Unique(t, t.number, t.company),
                'order_archive.msg_disposal_number_unique'))
        cls._sql_indexes.update({
                Index(t, (t.prepared_at, Index.Range(order='DESC')),
                    (t.id, Index.Range(order='DESC'))),
                Index(t, (t.state, Index.Equality(cardinality='low')),
                    where=t.state.in_(['proposed', 'approved', 'executing'])),
                })
        cls._buttons.update({
                'approve': {
                    'invisible': Eval('state') != 'proposed',
                    'icon': 'tryton-ok',
                    'depends': ['state'],
                    },
                'execute': {
                    'invisible': ~Eval('state').in_(
                        ['approved', 'executing']),
                    'icon': 'tryton-forward',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def copy(cls, disposals, default=None):
        # Before the database refuses the same number
        if disposals:
            cls._deny_modification('create', disposals)
        return []

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('state') == 'cancelled', 'muted', '')),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'executing', 'danger',
                    If(Eval('state').in_(_OPEN), 'warning', ''))),
            ]

    @classmethod
    def get_number_files(cls, disposals, name):
        return {
            d.id: sum(f.state != 'taken_out' for f in d.files)
            for d in disposals}

    @classmethod
    def get_problems(cls, disposals, name):
        with without_check_access():
            problems = cls._get_problems([
                    d for d in disposals if d.state in _OPEN])
        return {
            d.id: '\n'.join(problems.get(d, [])) or None for d in disposals}

    def ledger_values(self):
        return {
            'number': self.number,
            'company': self.company.id,
            'prepared_by': self.prepared_by.id if self.prepared_by else None,
            'prepared_at': _isoformat(self.prepared_at),
            'files': [f.ledger_values() for f in self.files],
            'approvals': [
                [a.employee.id, a.user.id, _isoformat(a.approved_at)]
                for a in self.approvals],
            'executed_by': self.executed_by.id if self.executed_by else None,
            'executed_at': _isoformat(self.executed_at),
            'disposed_at': _isoformat(self.disposed_at),
            'state': self.state,
            }

    # Its preparation

    @classmethod
    @without_check_access
    @per_company
    def propose(cls, company):
        """Propose the disposal of the files whose retention has ended, and
        tell of those that somebody has to review"""
        pool = Pool()
        Archive = pool.get('order.archive')
        Date = pool.get('ir.date')
        today = Date.today()
        cls.lock()
        due = Archive.search([
                ('company', '=', company.id),
                ('supplement_of', '=', None),
                ('state', '=', 'archived'),
                ('retention_action', 'in', ['dispose', 'review']),
                ('trigger_date', '!=', None),
                ('retain_until', '<', today),
                ('held', '=', False),
                ('lent', '=', False),
                ('sale', 'not in', Archive._retained(today)),
                ])
        Archive.set_due(due)
        if to_review := [a for a in due if a.retention_action == 'review']:
            notify(
                dict.fromkeys(cls._get_users(company), to_review),
                'tryton-archive', 'order_archive.msg_notification_review',
                lambda a: f'{a.number} – {a.sale_number}')
        archives = Archive.search([
                ('company', '=', company.id),
                ('supplement_of', '=', None),
                ('state', '=', 'due'),
                ('retention_action', '=', 'dispose'),
                ('trigger_date', '!=', None),
                ('retain_until', '<', today),
                ('held', '=', False),
                ('lent', '=', False),
                ('id', 'not in', cls._listed()),
                ])
        if archives:
            cls._prepare(archives)

    @classmethod
    def _listed(cls):
        "Return the query of the files that open disposals list"
        pool = Pool()
        File = pool.get('order.archive.disposal.file')
        file = File.__table__()
        return file.select(file.archive, where=file.state == 'listed')

    @classmethod
    def prepare(cls, archives):
        "Propose the disposal of the due files that somebody reviewed"
        _allow(archives, 'group_archive_admin', 'group_archive_disposal')
        with without_check_access():
            cls.lock()
            cls._need_due(archives)
            return cls._prepare(archives, by_hand=True)

    @classmethod
    def _need_due(cls, archives):
        pool = Pool()
        Archive = pool.get('order.archive')
        archives = Archive.browse(archives)
        listed = Archive.get_listed(archives)
        problems = []
        for archive in archives:
            message, values = None, {}
            if archive.supplement_of:
                message = 'msg_disposal_supplement'
                values['file'] = archive.supplement_of.rec_name
            elif archive.state != 'due':
                message = 'msg_disposal_not_due'
                values['state'] = archive.__names__('state', archive)['value']
            elif archive in listed:
                message = 'msg_disposal_listed'
                values['disposal'] = listed[archive].rec_name
            if message:
                problems.append(gettext(
                        f'order_archive.{message}',
                        archive=archive.rec_name, **values))
        _raise(DisposalError, problems)
        _raise(DisposalError, [
                t for ts in Archive.get_disposal_problems(archives).values()
                for t in ts])

    @classmethod
    def _prepare(cls, archives, by_hand=False):
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        Event = pool.get('order.archive.event')
        configuration = Configuration(1)
        vlist = []
        for company, c_archives in group_by_company(archives):
            employee = None
            if by_hand:
                employee = get_employee(company)
                if not employee:
                    raise AccessError(gettext(
                            'order_archive.msg_retention_employee',
                            record=c_archives[0].rec_name,
                            company=company.rec_name))
            sequence = configuration.get_multivalue(
                'disposal_sequence', company=company.id)
            vlist.append({
                    'number': sequence.get(),
                    'company': company.id,
                    'prepared_by': employee.id if employee else None,
                    'prepared_at': _now(),
                    'state': 'proposed',
                    'files': [('create', [{
                                    'archive': a.id,
                                    'company': company.id,
                                    'state': 'listed',
                                    } for a in c_archives])],
                    })
        with _recording():
            disposals = cls.create(vlist)
        disposals = cls.browse(disposals)
        Event.record('propose', disposals)
        cls._notify(
            disposals, 'tryton-archive', 'msg_notification_disposal_proposed')
        return disposals

    @classmethod
    def _notify(cls, disposals, icon, message):
        "Notify those who can approve in the company of each disposal"
        for disposal in disposals:
            notify(
                dict.fromkeys(cls._get_users(disposal.company), [disposal]),
                icon, f'order_archive.{message}',
                disposal=disposal.rec_name, number=disposal.number_files)

    @classmethod
    def _get_users(cls, company):
        "Return those who dispose of the files of the company"
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        User = pool.get('res.user')
        return User.search([
                ('groups', '=', ModelData.get_id(
                        'order_archive', 'group_archive_disposal')),
                ('employees.company', '=', company.id),
                ])

    # Its way

    @classmethod
    def _lock(cls, disposals):
        "Lock the disposals and all that could stop them meanwhile"
        pool = Pool()
        Archive = pool.get('order.archive')
        Hold = pool.get('order.archive.hold')
        cls.lock(disposals)
        Archive.lock(Archive.family([
                    f.archive for d in cls.browse(disposals)
                    for f in d.files]))
        Hold.lock()

    @classmethod
    def _get_problems(cls, disposals):
        "Return by disposal the texts of what keeps it from being executed"
        pool = Pool()
        Archive = pool.get('order.archive')
        problems = Archive.get_disposal_problems([
                f.archive for d in disposals for f in d.files
                if f.state == 'listed'])
        return {
            d: [t for f in d.files if f.state == 'listed'
                for t in problems[f.archive]]
            for d in disposals}

    @classmethod
    def _check(cls, disposals, *states):
        "Check that the disposals are in the states and nothing stops them"
        texts = [
            gettext('order_archive.msg_disposal_state',
                disposal=d.rec_name,
                state=cls.__names__('state', d)['value'])
            for d in disposals if d.state not in states]
        _raise(DisposalError, texts)
        _raise(DisposalError, [
                t for ts in cls._get_problems(disposals).values()
                for t in ts])

    @classmethod
    @ModelView.button
    def approve(cls, disposals):
        _allow(disposals, 'group_archive_disposal')
        cls._check_visible(disposals)
        with without_check_access():
            cls._approve(disposals)

    @classmethod
    def _check_visible(cls, disposals):
        "Check that the user sees all of what would be approved"
        pool = Pool()
        Archive = pool.get('order.archive')
        for disposal in disposals:
            with without_check_access():
                files = {
                    f.archive.id for f in cls(disposal.id).files
                    if f.state == 'listed'}
            with check_access():
                visible = Archive.search(
                    [('id', 'in', list(files))], count=True)
            if visible < len(files):
                raise AccessError(gettext(
                        'order_archive.msg_disposal_confidential',
                        disposal=disposal.rec_name,
                        number=len(files) - visible))

    @classmethod
    def _approve(cls, disposals):
        pool = Pool()
        Approval = pool.get('order.archive.disposal.approval')
        Event = pool.get('order.archive.event')
        cls._lock(disposals)
        disposals = cls.browse(disposals)
        cls._check(disposals, 'proposed')
        vlist, problems = [], []
        for disposal in disposals:
            employee = _need_employee(disposal)
            if message := disposal._refuse(employee):
                problems.append(gettext(
                        f'order_archive.{message}',
                        disposal=disposal.rec_name,
                        employee=employee.rec_name))
            vlist.append({
                    'disposal': disposal.id,
                    'employee': employee.id,
                    'user': Transaction().user,
                    'approved_at': _now(),
                    })
        _raise(DisposalError, problems)
        with _recording():
            Approval.create(vlist)
            disposals = cls.browse(disposals)
            if approved := [
                    d for d in disposals if len(d.approvals) >= _APPROVALS]:
                cls.write(approved, {'state': 'approved'})
        disposals = cls.browse(disposals)
        Event.record('approve', disposals)
        cls._notify(
            [d for d in disposals if d.state == 'approved'],
            'tryton-ok', 'msg_notification_disposal_approved')

    def _refuse(self, employee):
        "Return the message of why the employee may not approve it, if any"
        pool = Pool()
        User = pool.get('res.user')
        user = User(Transaction().user)
        # The same person may have several employees and users
        parties = {e.party for e in user.employees} | {employee.party}
        if (self.prepared_by and self.prepared_by.party in parties
                or self.create_uid == user):
            return 'msg_disposal_approve_prepared'
        if any(
                a.user == user or a.employee.party in parties
                for a in self.approvals):
            return 'msg_disposal_approve_twice'

    @classmethod
    @ModelView.button
    def execute(cls, disposals):
        _allow(disposals, 'group_archive_disposal')
        with without_check_access():
            cls._execute(disposals)

    @classmethod
    def _execute(cls, disposals):
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        File = pool.get('order.archive.disposal.file')
        cls._lock(disposals)
        disposals = cls.browse(disposals)
        to_execute = [d for d in disposals if d.state != 'executing']
        cls._check(to_execute, 'approved')
        args = []
        for disposal in to_execute:
            files = [f for f in disposal.files if f.state == 'listed']
            Archive.dispose([f.archive for f in files], disposal)
            with _recording():
                File.write(files, {'state': 'disposed'})
            args.extend(([disposal], {
                        'state': 'executing',
                        'executed_by': _need_employee(disposal).id,
                        'executed_at': _now(),
                        }))
        if args:
            with _recording():
                cls.write(*args)
            Event.record('execute', cls.browse(to_execute))
        # The content goes only once nobody can take it back
        cls.__queue__.erase(disposals)

    @classmethod
    @without_check_access
    def complete(cls):
        "Complete the disposals that were interrupted"
        cls.erase(cls.search([('state', '=', 'executing')]))

    @classmethod
    @without_check_access
    def erase(cls, disposals):
        """Remove the content of the disposals from the storage

        It can be done again at any time until nothing is left."""
        pool = Pool()
        Archive = pool.get('order.archive')
        Event = pool.get('order.archive.event')
        Item = pool.get('order.archive.item')
        if not disposals:
            return
        cls.lock(disposals)
        disposals = [
            d for d in cls.browse(disposals) if d.state == 'executing']
        if not disposals:
            return
        Item.erase(Archive.family([
                    f.archive for d in disposals for f in d.files
                    if f.state == 'disposed']))
        with _recording():
            cls.write(disposals, {
                    'state': 'disposed',
                    'disposed_at': _now(),
                    })
        Event.record('erase', cls.browse(disposals))


class File(SecretMixin, EvidenceMixin, ModelSQL, ModelView):
    "A file that a disposal lists"
    __name__ = 'order.archive.disposal.file'

    disposal = fields.Many2One(
        'order.archive.disposal', "Disposal", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    archive = fields.Many2One(
        'order.archive', "File", required=True, readonly=True,
        ondelete='RESTRICT')
    retain_until = fields.Function(
        fields.Date("Retain Until"), 'get_archive')
    held = fields.Function(fields.Boolean("Held"), 'get_archive')
    lent = fields.Function(fields.Boolean("Lent"), 'get_archive')
    disposal_state = fields.Function(
        fields.Char("State of the Disposal"), 'get_disposal_state')
    taken_out_by = fields.Many2One(
        'company.employee', "Taken Out By", readonly=True,
        ondelete='RESTRICT',
        states={
            'invisible': Eval('state') != 'taken_out',
            })
    taken_out_at = fields.DateTime(
        "Taken Out At", readonly=True,
        states={
            'invisible': Eval('state') != 'taken_out',
            })
    reason = fields.Text(
        "Reason", readonly=True,
        states={
            'invisible': Eval('state') != 'taken_out',
            },
        help="Why it was taken out.")
    state = fields.Selection([
            ('listed', "Listed"),
            ('taken_out', "Taken Out"),
            ('disposed', "Disposed"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('id', 'ASC')]
        cls._sql_indexes.update({
                Index(t, (t.disposal, Index.Equality())),
                Index(t, (t.archive, Index.Equality())),
                Index(t, (t.state, Index.Equality(cardinality='low')),
                    where=t.state == 'listed'),
                })
        cls._buttons.update({
                'take_out': {
                    'invisible': (
                        (Eval('state') != 'listed')
                        | ~Eval('disposal_state').in_(_OPEN)),
                    'depends': ['state', 'disposal_state'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'taken_out', 'muted',
                    If((Eval('state') == 'listed')
                        & (Bool(Eval('held', False))
                            | Bool(Eval('lent', False))),
                        'danger', ''))),
            ]

    def get_rec_name(self, name):
        return f'{self.archive.rec_name} ({self.disposal.rec_name})'

    @classmethod
    def search_rec_name(cls, name, clause):
        return ['OR',
            ('archive.rec_name', *clause[1:]),
            ('disposal.rec_name', *clause[1:]),
            ]

    @classmethod
    def get_archive(cls, files, names):
        return {
            n: {f.id: getattr(f.archive, n) for f in files} for n in names}

    def get_disposal_state(self, name):
        return self.disposal.state

    def ledger_values(self):
        "Return what the ledger keeps of it with the disposal"
        values = [self.archive.id, self.state]
        if self.state == 'taken_out':
            values.extend([
                    self.taken_out_by.id if self.taken_out_by else None,
                    _isoformat(self.taken_out_at), self.reason])
        return values

    @classmethod
    @ModelView.button_action('order_archive.wizard_take_out')
    def take_out(cls, files):
        pass

    @classmethod
    def exclude(cls, files, date, reason):
        "Take the files out of their disposals and keep them until the date"
        _allow(files, 'group_archive_disposal')
        with without_check_access():
            cls._exclude(files, date, reason)

    @classmethod
    def _exclude(cls, files, date, reason):
        pool = Pool()
        Archive = pool.get('order.archive')
        Disposal = pool.get('order.archive.disposal')
        Event = pool.get('order.archive.event')
        Disposal.lock({f.disposal for f in files})
        if not _has_text(reason):
            raise DisposalError(gettext(
                    'order_archive.msg_disposal_take_out_reason'))
        files = cls.browse(files)
        _raise(DisposalError, [
                gettext('order_archive.msg_disposal_take_out_state',
                    file=f.rec_name)
                for f in files
                if f.state != 'listed' or f.disposal.state not in _OPEN])
        employees = _need_employees(files)
        args = []
        for file in files:
            args.extend(([file], {
                        'state': 'taken_out',
                        'taken_out_by': employees[file.company].id,
                        'taken_out_at': _now(),
                        'reason': reason,
                        }))
        with _recording():
            cls.write(*args)
        disposals = Disposal.browse({f.disposal for f in files})
        if empty := [
                d for d in disposals
                if all(f.state == 'taken_out' for f in d.files)]:
            with _recording():
                Disposal.write(empty, {'state': 'cancelled'})
        Event.record('take_out', Disposal.browse(disposals))
        Archive._lengthen([f.archive for f in files], date, reason)


class Approval(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.disposal.approval'

    disposal = fields.Many2One(
        'order.archive.disposal', "Disposal", required=True, readonly=True,
        ondelete='RESTRICT')
    employee = fields.Many2One(
        'company.employee', "Employee", required=True, readonly=True,
        ondelete='RESTRICT')
    user = fields.Many2One(
        'res.user', "User", required=True, readonly=True, ondelete='RESTRICT')
    approved_at = fields.DateTime(
        "Approved At", required=True, readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._order = [('id', 'ASC')]
        cls._sql_constraints.append(
            ('disposal_employee_unique', Unique(t, t.disposal, t.employee),
                'order_archive.msg_disposal_approval_unique'))


class TakeOut(Wizard):
    "Take files out of their disposal"
    __name__ = 'order.archive.disposal.take_out'

    start = StateView('order.archive.disposal.take_out.start',
        'order_archive.disposal_take_out_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Take Out", 'take_out', 'tryton-ok', default=True),
            ])
    take_out = StateTransition()

    def transition_take_out(self):
        self.model.exclude(
            self.records, self.start.retain_until, self.start.reason)
        return 'end'

    def end(self):
        return 'reload'


class TakeOutStart(ModelView):
    __name__ = 'order.archive.disposal.take_out.start'

    retain_until = fields.Date(
        "Retain Until", required=True,
        help="The last day on which the files are kept now.")
    reason = fields.Text("Reason", required=True)


class Archive(metaclass=PoolMeta):
    __name__ = 'order.archive'

    disposals = fields.One2Many(
        'order.archive.disposal.file', 'archive', "Disposals", readonly=True,
        states={
            'invisible': ~Eval('disposals'),
            })

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'propose_disposal': {
                    'invisible': (
                        (Eval('state') != 'due')
                        | Bool(Eval('supplement_of', -1))),
                    'depends': ['state', 'supplement_of'],
                    },
                })

    @classmethod
    def set_due(cls, archives):
        "Set the files and their supplements due for disposal"
        pool = Pool()
        Event = pool.get('order.archive.event')
        archives = [a for a in cls.family(archives) if a.state == 'archived']
        if archives:
            with _recording():
                cls.write(archives, {'state': 'due'})
            Event.record('due', cls.browse(archives))

    @classmethod
    @ModelView.button
    def propose_disposal(cls, archives):
        pool = Pool()
        Disposal = pool.get('order.archive.disposal')
        Disposal.prepare(archives)

    @classmethod
    def get_listed(cls, archives):
        "Return by file the open disposal that lists it or what it supplements"
        pool = Pool()
        File = pool.get('order.archive.disposal.file')
        sales = {a.sale.id for a in archives}
        listed = {
            f.archive.sale: f.disposal for f in File.search([
                    ('archive.sale', 'in', list(sales)),
                    ('state', '=', 'listed'),
                    ])}
        return {a: listed[a.sale] for a in archives if a.sale in listed}

    @classmethod
    def get_disposal_problems(cls, archives):
        """Return by file the list of texts of what keeps it and what
        supplements it from being disposed of"""
        pool = Pool()
        Hold = pool.get('order.archive.hold')
        today = cls._today(archives)
        problems = {a: [] for a in archives}
        if not archives:
            return problems
        holds = cls.get_holds(archives, 'holds')
        names = {
            h.id: h.rec_name for h in Hold.browse(
                {h for hs in holds.values() for h in hs})}
        for archive in archives:
            for hold in holds[archive.id]:
                problems[archive].append(gettext(
                        'order_archive.msg_disposal_held',
                        archive=archive.rec_name, hold=names[hold]))
        by_sale = {a.sale: a for a in archives}
        for archive in cls.family(archives):
            message, values = None, {}
            if archive.state not in {'archived', 'due'}:
                message = 'msg_disposal_not_due'
                values['state'] = archive.__names__('state', archive)['value']
            elif (not archive.trigger_date or not archive.retain_until
                    or archive.retain_until >= today[archive.company]):
                message = 'msg_disposal_retained'
            if message:
                problems[by_sale[archive.sale]].append(gettext(
                        f'order_archive.{message}',
                        archive=archive.rec_name, **values))
        return problems

    @classmethod
    def dispose(cls, archives, disposal):
        "Dispose of the files with their supplements"
        pool = Pool()
        Event = pool.get('order.archive.event')
        Item = pool.get('order.archive.item')
        archives = cls.family(archives)
        Item.dispose(archives)
        with _recording():
            cls.write(archives, {'state': 'disposed'})
        Event.record('dispose', cls.browse(archives), {
                a: {'disposal': disposal.number} for a in archives})


class Item(metaclass=PoolMeta):
    __name__ = 'order.archive.item'

    disposed_file_id = fields.Char(
        "File ID to Remove", readonly=True,
        help="What a disposal has still to remove from the storage.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(
            Index(
                t, (t.disposed_file_id, Index.Equality()),
                where=t.disposed_file_id != Null))

    @classmethod
    def dispose(cls, archives):
        "Take the content from the items of the files"
        pool = Pool()
        Event = pool.get('order.archive.event')
        transaction = Transaction()
        cursor = transaction.connection.cursor()
        table = cls.__table__()
        file_id = Column(table, cls.data.file_id)
        for sub_archives in grouped_slice(archives, 1000):
            cursor.execute(*table.update(
                    [table.disposed_file_id, file_id, table.data],
                    [file_id, Null, Null],
                    where=fields.SQL_OPERATORS['in'](
                        table.archive, [a.id for a in sub_archives])
                    & (file_id != Null)))
        items = cls.search([
                ('archive', 'in', [a.id for a in archives]),
                ])
        if items:
            with _recording():
                cls.write(items, {'state': 'disposed'})
            Event.record('dispose', cls.browse(items))

    @classmethod
    def erase(cls, archives):
        "Remove from the storage what the items of the files had"
        cursor = Transaction().connection.cursor()
        table = cls.__table__()
        prefix = cls.data.store_prefix
        for sub_archives in grouped_slice(archives, 1000):
            where = (
                fields.SQL_OPERATORS['in'](
                    table.archive, [a.id for a in sub_archives])
                & (table.disposed_file_id != Null))
            cursor.execute(*table.select(
                    table.disposed_file_id, where=where, order_by=[table.id]))
            ids = [id_ for id_, in cursor]
            remove(ids, prefix)
            if left := [i for i in ids if cls._is_stored(i, prefix)]:
                raise DisposalError(gettext(
                        'order_archive.msg_disposal_left',
                        files=', '.join(left[:5])))
            cursor.execute(*table.update(
                    [table.disposed_file_id], [Null], where=where))

    @classmethod
    def _is_stored(cls, file_id, prefix):
        try:
            filestore.size(file_id, prefix=prefix)
        except OSError:
            return False
        return True


class Certificate(Document):
    __name__ = 'order.archive.disposal.certificate'
    _model = 'order.archive.disposal'

    @classmethod
    def _execute(cls, records, header, data, action):
        # What is confidential stays so
        with check_access():
            return super()._execute(records, header, data, action)

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        _raise(DisposalError, [
                gettext('order_archive.msg_disposal_certificate',
                    disposal=d.rec_name)
                for d in records if d.state != 'disposed'])
        texts = _CertificateTexts(
            cls, records[0].company if records else None)
        context.update(
            texts.get_context(),
            certificates=[texts.get_certificate(d) for d in records])
        return context


class _CertificateTexts(Texts):
    messages = 'order_archive.msg_certificate'

    def get_certificate(self, disposal):
        pool = Pool()
        Archive = pool.get('order.archive')
        Item = pool.get('order.archive.item')
        files = [f.archive for f in disposal.files if f.state == 'disposed']
        archives = sorted(Archive.family(files), key=lambda a: a.number)
        domain = [('archive', 'in', [a.id for a in archives])]
        items = Item.search(domain, order=[
                ('archive.number', 'ASC'), ('id', 'ASC')])
        with without_check_access():
            hidden = Item.search(domain, count=True) - len(items)
        return {
            'disposal': disposal,
            'archives': archives,
            'items': items,
            'hidden': hidden,
            'taken_out': [f for f in disposal.files if f.state == 'taken_out'],
            }


class Verification(metaclass=PoolMeta):
    __name__ = 'order.archive.verification'

    @classmethod
    def models(cls):
        return super().models() + [
            'order.archive.hold', 'order.archive.disposal',
            'order.archive.volume', 'order.archive.move',
            'order.archive.loan']
