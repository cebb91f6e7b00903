# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import datetime as dt
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from unittest.mock import patch

from trytond.modules.order_archive import timestamp
from trytond.pool import Pool

from .review import get_notifications, with_company
from .test_ledger import LedgerTestCase, seal, set_path

OPENSSL = """
[ req ]
distinguished_name = name
prompt = no
[ name ]
CN = {name}
[ root ]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[ tsa ]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ tsa_config ]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""


class Authority(BaseHTTPRequestHandler):
    "A time stamping authority"

    def do_POST(self):
        query = self.rfile.read(int(self.headers['Content-Length']))
        assert self.headers['Content-Type'] == 'application/timestamp-query'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.answer(query))

    def log_message(self, *args):
        pass


def openssl(folder, *args, **kwargs):
    return subprocess.run(
        ['openssl', *map(str, args)], cwd=folder, check=True,
        capture_output=True, **kwargs)


def create_certificates(folder):
    "Create the certificate of an authority and its root"
    for name in ['root', 'tsa']:
        folder.joinpath(f'{name}.cnf').write_text(OPENSSL.format(name=name))
        signed = ['-CA', 'root.pem', '-CAkey', 'root.key']
        openssl(folder, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes',
            '-days', '2', '-config', f'{name}.cnf', '-extensions', name,
            *(signed if name == 'tsa' else []),
            '-keyout', f'{name}.key', '-out', f'{name}.pem')
    folder.joinpath('serial').write_text('01')


class TimestampTestCase(LedgerTestCase):
    "Test the time stamps of an authority on checkpoints"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        create_certificates(cls.folder)

    def answer(self, query):
        self.folder.joinpath('query').write_bytes(query)
        openssl(self.folder, 'ts', '-reply', '-config', 'tsa.cnf',
            '-section', 'tsa_config', '-queryfile', 'query',
            '-out', 'answer')
        return self.folder.joinpath('answer').read_bytes()

    @contextmanager
    def authority(self, answer=None, **options):
        "Serve an authority to which the configuration refers"
        with HTTPServer(('localhost', 0), Authority) as server:
            server.answer = answer or self.answer
            thread = Thread(target=server.serve_forever)
            thread.start()
            try:
                with set_path(
                        timestamp_url=(
                            f'http://localhost:{server.server_port}/'),
                        **options):
                    yield
            finally:
                server.shutdown()
                thread.join()

    def make(self):
        Checkpoint = Pool().get('order.archive.checkpoint')
        seal(2)
        checkpoint, = Checkpoint.make()
        return checkpoint

    @with_company
    def test_stamp(self):
        "Test who has the file, its stamp and the roots proves the time"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Configuration = pool.get('order.archive.configuration')
        configuration = Configuration(1)
        configuration.checkpoint_recipients = "notary@example.com"
        configuration.save()
        checkpoint = self.make()
        with TemporaryDirectory() as folder, self.authority(
                timestamp_certificates=self.folder / 'root.pem',
                checkpoint_path=folder):
            with patch(
                    'trytond.modules.order_archive.checkpoint.send_message'
                    ) as send:
                before = dt.datetime.now(dt.timezone.utc).replace(
                    microsecond=0, tzinfo=None)
                Checkpoint.publish([checkpoint])
                # It is stamped once
                stamp = checkpoint.timestamp
                Checkpoint.publish([checkpoint])
            self.assertEqual(checkpoint.timestamp, stamp)
            self.assertGreaterEqual(
                dt.datetime.fromisoformat(checkpoint.stamped_at), before)
            message, = send.call_args_list[0].args
            self.assertEqual(
                [a.get_filename() for a in message.iter_attachments()],
                [checkpoint.file_name, checkpoint.timestamp_name])
            data = Path(folder) / checkpoint.file_name
            path = Path(folder) / checkpoint.timestamp_name
            self.assertEqual(path.read_bytes(), stamp)
            self.assertEqual(
                sorted(Path(folder).iterdir()), sorted([data, path]))
            verify = [
                'ts', '-verify', '-in', path, '-CAfile', 'root.pem', '-data']
            openssl(self.folder, *verify, data)
            data.write_bytes(data.read_bytes() + b' ')
            with self.assertRaises(subprocess.CalledProcessError):
                openssl(self.folder, *verify, data)

    @with_company
    def test_refused(self):
        "Test the auditors are told of what is no stamp and it is asked again"
        pool = Pool()
        Checkpoint = pool.get('order.archive.checkpoint')
        Group = pool.get('res.group')
        ModelData = pool.get('ir.model.data')
        Queue = pool.get('ir.queue')
        User = pool.get('res.user')
        User.create([{
                    'name': "Auditor",
                    'login': 'auditor',
                    'groups': [('add', [Group(ModelData.get_id(
                                    'order_archive',
                                    'group_archive_auditor')).id])],
                    'companies': [('add', [self.make().company.id])],
                    }])
        checkpoint, = Checkpoint.make()
        with TemporaryDirectory() as folder, \
                TemporaryDirectory() as other_folder:
            other = Path(other_folder)
            create_certificates(other)
            answers = []

            def replay(query):
                answers.append(self.answer(query))
                return answers[0]

            for answer, options, reason in [
                    (lambda q: b'', {}, ''),
                    (lambda q: b'<html>', {}, ''),
                    (lambda q: self.answer(q[:-1]), {}, ''),
                    (replay, {'timestamp_certificates': other / 'root.pem'},
                        ''),
                    (replay, {}, "something else"),
                    ]:
                with self.subTest(reason=reason), self.authority(
                        answer, checkpoint_path=folder, **options):
                    Checkpoint.publish([checkpoint])
                    self.assertIsNone(checkpoint.timestamp)
                    self.assertIsNone(checkpoint.stamped_at)
                    self.assertTrue(checkpoint.published_at)
                    notification, = get_notifications()['auditor']
                    self.assertIn("no time stamp", notification.description)
                    self.assertIn(reason, notification.description)
            self.assertEqual(len(answers), 2)
            with self.authority(checkpoint_path=folder), patch.object(
                    timestamp, 'rfc3161_client', None):
                Checkpoint.publish([checkpoint])
            notification, = get_notifications()['auditor']
            self.assertIn("not installed", notification.description)
            Queue.delete(Queue.search([]))
            with self.authority(checkpoint_path=folder):
                Checkpoint.make()
                task, = Queue.search([])
                self.assertEqual(task.data['method'], 'publish_later')
                Checkpoint.publish_later([checkpoint])
                self.assertTrue(checkpoint.stamped_at)
                self.assertTrue(
                    Path(folder, checkpoint.timestamp_name).exists())
                Checkpoint.make()
                self.assertEqual(Queue.search([]), [task])

    @with_company
    def test_none(self):
        "Test nobody is asked without an authority"
        Checkpoint = Pool().get('order.archive.checkpoint')
        checkpoint = self.make()
        with TemporaryDirectory() as folder, set_path(checkpoint_path=folder):
            Checkpoint.publish([checkpoint])
            self.assertEqual(len(list(Path(folder).iterdir())), 1)
        self.assertTrue(checkpoint.published_at)
        self.assertIsNone(checkpoint.stamped_at)
