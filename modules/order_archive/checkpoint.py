# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import json
import logging
import os
import re
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from smtplib import SMTPException

import trytond.config as config
from trytond.backend import DatabaseOperationalError
from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import SQLConstraintError
from trytond.modules.company.model import CompanyValueMixin
from trytond.modules.company_department.tools import notify
from trytond.pool import Pool, PoolMeta
from trytond.sendmail import send_message
from trytond.tools.email_ import set_from_header
from trytond.transaction import (
    Transaction, TransactionError, without_check_access)

from .archive import EvidenceMixin, _recording
from .event import canonical, utcnow
from .exceptions import LedgerError
from .storage import fsync
from .verify import FORMAT, Tree, leaf_hash

logger = logging.getLogger(__name__)

checkpoint_recipients = fields.Char(
    "Recipients of Checkpoints",
    help="The e-mail addresses, separated by commas, which keep what the "
    "ledger is compared with outside of the system.")


class Configuration(metaclass=PoolMeta):
    __name__ = 'order.archive.configuration'

    checkpoint_recipients = fields.MultiValue(checkpoint_recipients)

    @classmethod
    def multivalue_model(cls, field):
        pool = Pool()
        if field == 'checkpoint_recipients':
            return pool.get('order.archive.configuration.checkpoint')
        return super().multivalue_model(field)


class ConfigurationCheckpoint(CompanyValueMixin, ModelSQL):
    __name__ = 'order.archive.configuration.checkpoint'

    checkpoint_recipients = checkpoint_recipients


class Checkpoint(EvidenceMixin, ModelSQL, ModelView):
    __name__ = 'order.archive.checkpoint'
    _rec_name = 'root'

    company = fields.Many2One(
        'company.company', "Company", required=True, readonly=True,
        ondelete='RESTRICT')
    size = fields.Integer(
        "Entries", required=True, readonly=True,
        help="How many entries of the ledger it covers.")
    root = fields.Char(
        "Root", required=True, readonly=True,
        help="The root of the Merkle tree (RFC 6962) of the entries.")
    made_at = fields.Char(
        "Made at", required=True, readonly=True,
        help="According to the clock, in UTC.")
    content = fields.Text(
        "Content", required=True, readonly=True,
        help="What is kept outside of the system.")
    recipients = fields.Char("Recipients", readonly=True)
    file = fields.Char("File", readonly=True)
    published_at = fields.Timestamp(
        "Published at", readonly=True,
        help="When it was mailed or written to the folder.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('id', 'DESC')]
        cls._sql_constraints += [
            ('size_unique', Unique(table, table.company, table.size),
                'order_archive.msg_ledger_checkpoint_unique'),
            ]
        cls._buttons.update({
                'publish': {},
                })

    def get_rec_name(self, name):
        return f'{self.company.rec_name}: {self.size}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return ['OR',
            ('root', *clause[1:]),
            ('company.rec_name', *clause[1:]),
            ]

    @classmethod
    @without_check_access
    def make(cls, companies=None):
        """Make the checkpoints of the ledgers that have grown since the last
        and return the last of each"""
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        given = companies is not None
        if not given:
            companies = Chain.get_companies()
        last, to_create = [], []
        for company in companies:
            try:
                checkpoint, values = cls._get_next(company)
            except LedgerError as e:
                # The task makes those of the others
                if given:
                    raise
                cls._tell(company, e, company)
                continue
            if checkpoint:
                last.append(checkpoint)
            elif values:
                to_create.append(values)
        try:
            with _recording():
                created = cls.create(to_create)
        except SQLConstraintError as e:
            # Somebody else has made it meanwhile
            raise TransactionError from e
        # Not before what they cover is committed, and what failed again
        if pending := cls.search([
                    ('company', 'in', [c.id for c in companies]),
                    ('published_at', '=', None),
                    ]):
            cls.__queue__.publish_later(pending)
        return last + created

    @classmethod
    def _get_next(cls, company):
        """Return the last checkpoint if it covers all entries of the company,
        and otherwise the values of the next, if any"""
        pool = Pool()
        Chain = pool.get('order.archive.chain')
        length, hash_ = Chain.get_head(company)
        checkpoint = cls.last(company)
        if checkpoint and checkpoint.size > length:
            raise LedgerError(gettext(
                    'order_archive.msg_ledger_truncated',
                    subject=checkpoint.rec_name, size=checkpoint.size,
                    number=length))
        elif checkpoint and checkpoint.size == length:
            return checkpoint, None
        return None, cls._get_values(company, length, hash_)

    @classmethod
    def _tell(cls, record, error, company=None):
        """Tell the auditors of the company, that of the record by default, of
        what failed with the record"""
        pool = Pool()
        Verification = pool.get('order.archive.verification')
        notify(
            {u: [record] for u in Verification.get_auditors(
                    company or record.company)},
            'tryton-warning', 'order_archive.msg_ledger_checkpoint_failed',
            description=getattr(error, 'message', str(error)))

    @classmethod
    @without_check_access
    def last(cls, company):
        "Return the checkpoint of the company that covers most if there is one"
        checkpoints = cls.search(
            [('company', '=', company.id)], order=[('size', 'DESC')], limit=1)
        return checkpoints[0] if checkpoints else None

    @classmethod
    def _get_values(cls, company, length, hash_):
        pool = Pool()
        Event = pool.get('order.archive.event')
        tree = Tree()
        for sequence, entry_hash in Event.sealed(
                company, ['sequence', 'hash']):
            if sequence != tree.size + 1:
                break
            try:
                tree.add(leaf_hash(entry_hash))
            except (TypeError, ValueError):
                break
        if tree.size != length:
            raise LedgerError(gettext(
                    'order_archive.msg_ledger_broken',
                    company=company.rec_name, number=tree.size + 1))
        elif not length:
            return
        values = {
            'made_at': utcnow(),
            'root': tree.root(),
            'size': tree.size,
            }
        return {
            **values,
            'company': company.id,
            'content': canonical({
                    **values,
                    'company': company.id,
                    'company_name': company.rec_name,
                    'database': Transaction().database.name,
                    'format': FORMAT,
                    'hash': hash_,
                    }),
            }

    @classmethod
    def folder(cls):
        "Return the folder outside of the database if there is one"
        if path := config.get('order_archive', 'checkpoint_path'):
            return Path(path)

    @property
    def file_name(self):
        name = Transaction().database.name.strip(':')
        return f'{name}-{self.company.id}-{self.size:012}.json'

    @classmethod
    @ModelView.button
    @without_check_access
    def publish(cls, checkpoints):
        "Mail the checkpoints and write them to the folder"
        for checkpoint in checkpoints:
            checkpoint._publish()

    @classmethod
    @without_check_access
    def publish_later(cls, checkpoints):
        "Publish from the queue each checkpoint that can be"
        for checkpoint in checkpoints:
            try:
                checkpoint._publish()
            except (DatabaseOperationalError, TransactionError):
                raise
            except Exception as e:
                logger.warning(
                    "cannot publish %s", checkpoint, exc_info=True)
                cls._tell(checkpoint, e)

    @classmethod
    def recipients_of(cls, company):
        pool = Pool()
        Configuration = pool.get('order.archive.configuration')
        return Configuration(1).get_multivalue(
            'checkpoint_recipients', company=company.id)

    def _publish(self):
        values = {}
        if folder := self.folder():
            self._write(folder)
            values['file'] = self.file_name
        if recipients := self.recipients_of(self.company):
            # At once, so that who is to be told of a failure is
            self._send(recipients)
            values['recipients'] = recipients
        if values:
            values['published_at'] = dt.datetime.now()
            with _recording():
                self.__class__.write([self], values)

    def _send(self, recipients):
        try:
            send_message(self._get_message(recipients), strict=True)
        except (OSError, SMTPException) as e:
            raise LedgerError(gettext(
                    'order_archive.msg_ledger_checkpoint_mail',
                    checkpoint=self.rec_name, recipients=recipients,
                    error=e)) from e

    def _write(self, folder):
        self._write_file(folder / self.file_name, self.content.encode())

    def _write_file(self, path, content):
        partial = path.with_name(path.name + '.part')
        try:
            with open(partial, 'wb') as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                # What is there is never replaced
                os.link(partial, path)
            except FileExistsError:
                if path.read_bytes() != content:
                    raise
            fsync(path.parent)
        except OSError as e:
            raise LedgerError(gettext(
                    'order_archive.msg_ledger_checkpoint_file',
                    checkpoint=self.rec_name, file=path,
                    error=e.strerror)) from e
        finally:
            partial.unlink(missing_ok=True)

    def _get_message(self, recipients):
        message = EmailMessage()
        sender = config.get('email', 'from')
        set_from_header(message, sender, sender)
        message['To'] = recipients
        message['Auto-Submitted'] = 'auto-generated'
        names = {
            'company': self.company.rec_name,
            'made_at': self.made_at,
            'root': self.root,
            'size': self.size,
            }
        message['Subject'] = gettext(
            'order_archive.msg_ledger_message_subject', **names)
        message.set_content(gettext(
                'order_archive.msg_ledger_message', **names))
        message.add_attachment(
            self.content.encode(), maintype='application', subtype='json',
            filename=self.file_name)
        return message

    @classmethod
    def outside(cls):
        "Return the ids of the companies with checkpoints in the folder"
        ids = set()
        if folder := cls.folder():
            name = re.compile(re.escape(
                    Transaction().database.name.strip(':'))
                + r'-(\d{1,9})-\d+\.json')
            # The verification tells of a folder that cannot be read
            with suppress(OSError):
                ids.update(
                    int(m[1]) for m in (
                        name.fullmatch(p.name) for p in folder.iterdir())
                    if m)
        return ids

    @classmethod
    def kept(cls, company):
        """Yield of the checkpoints of the company the name, whether it is
        kept outside of the database, and the content"""
        with without_check_access():
            for checkpoint in cls.search(
                    [('company', '=', company.id)], order=[('size', 'ASC')]):
                content = cls._load(checkpoint.content)
                if (content.get('root') != checkpoint.root
                        or content.get('size') != checkpoint.size):
                    content = {}
                yield checkpoint.rec_name, False, content
        if folder := cls.folder():
            database = Transaction().database.name
            name = re.compile(re.escape(
                    f"{database.strip(':')}-{company.id}-") + r'\d+\.json')
            for path in sorted(folder.iterdir()):
                if not name.fullmatch(path.name):
                    continue
                content = {}
                with suppress(OSError):
                    content = cls._load(path.read_bytes())
                if (content.get('company') != company.id
                        or content.get('database') != database):
                    content = {}
                yield path.name, True, content

    @classmethod
    def _load(cls, content):
        try:
            content = json.loads(content)
        except ValueError:
            content = None
        return content if isinstance(content, dict) else {}
