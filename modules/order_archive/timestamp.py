# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.
"The time stamps of an authority on the checkpoints (RFC 3161)"

import datetime as dt
import hashlib
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

try:
    import rfc3161_client
    from cryptography import x509
    from rfc3161_client.errors import VerificationError
except ImportError:
    rfc3161_client = None

    class VerificationError(Exception):
        pass

import trytond.config as config
from trytond.i18n import gettext
from trytond.model import fields
from trytond.pool import PoolMeta
from trytond.pyson import Eval
from trytond.transaction import without_check_access

from .archive import _recording
from .exceptions import LedgerError

TIMEOUT = 30
# An answer with the certificates takes some thousand bytes
MAX_SIZE = 2 ** 20


class Checkpoint(metaclass=PoolMeta):
    __name__ = 'order.archive.checkpoint'

    timestamp = fields.Binary(
        "Time Stamp", readonly=True, filename='timestamp_name',
        states={
            'invisible': ~Eval('stamped_at'),
            },
        help="What the authority answered, as told by RFC 3161.")
    timestamp_name = fields.Function(
        fields.Char("File Name of the Time Stamp"), 'get_timestamp_name')
    stamped_at = fields.Char(
        "Stamped at", readonly=True,
        states={
            'invisible': ~Eval('stamped_at'),
            },
        help="According to the authority, in UTC.")

    def get_timestamp_name(self, name):
        return str(Path(self.file_name).with_suffix('.tsr'))

    @classmethod
    def authority(cls):
        "Return the address of the authority if there is one"
        return config.get('order_archive', 'timestamp_url')

    @classmethod
    @without_check_access
    def make(cls, companies=None):
        checkpoints = super().make(companies)
        # What is not published yet is stamped then
        if cls.authority() and (unstamped := [
                    c for c in checkpoints
                    if c.published_at and not c.stamped_at]):
            cls.__queue__.publish_later(unstamped)
        return checkpoints

    def _publish(self):
        if self.authority() and not self.stamped_at:
            try:
                self._stamp()
            except LedgerError as e:
                # It is better kept without than not at all
                self._tell(self, e)
        super()._publish()

    def _stamp(self):
        url = self.authority()
        content = self.content.encode()
        try:
            if not rfc3161_client:
                raise ValueError("rfc3161-client is not installed")
            request = rfc3161_client.TimestampRequestBuilder(
                content, rfc3161_client.HashAlgorithm.SHA256).build()
            with urlopen(
                    Request(url, request.as_bytes(), {
                            'Content-Type': 'application/timestamp-query',
                            }),
                    timeout=TIMEOUT) as answer:
                timestamp = answer.read(MAX_SIZE)
            stamped_at = _verify(request, timestamp, content)
        except (HTTPException, OSError, ValueError, VerificationError) as e:
            raise LedgerError(gettext(
                    'order_archive.msg_ledger_checkpoint_stamp',
                    checkpoint=self.rec_name, url=url, error=e)) from e
        with _recording():
            self.__class__.write([self], {
                    'timestamp': timestamp,
                    'stamped_at': stamped_at.isoformat(),
                    })

    def _write(self, folder):
        super()._write(folder)
        if self.stamped_at:
            self._write_file(folder / self.timestamp_name, self.timestamp)

    def _get_message(self, recipients):
        message = super()._get_message(recipients)
        if self.stamped_at:
            message.add_attachment(
                self.timestamp, maintype='application',
                subtype='timestamp-reply', filename=self.timestamp_name)
        return message


def _verify(request, timestamp, content):
    """Return the time in UTC of the time stamp, or raise ValueError or
    VerificationError if it does not answer the request for the content

    The signature of the authority is verified if its root certificates are
    in the configuration."""
    response = rfc3161_client.decode_timestamp_response(timestamp)
    if response.status != rfc3161_client.PKIStatus.GRANTED:
        raise ValueError(
            ' '.join(response.status_string) or f"status {response.status}")
    info = response.tst_info
    if (info.nonce != request.nonce
            or info.message_imprint.message
            != hashlib.sha256(content).digest()):
        raise ValueError("it is the time stamp of something else")
    if path := config.get('order_archive', 'timestamp_certificates'):
        verifier = rfc3161_client.VerifierBuilder.from_request(request)
        for certificate in x509.load_pem_x509_certificates(
                Path(path).read_bytes()):
            verifier = verifier.add_root_certificate(certificate)
        verifier.build().verify_message(response, content)
    return info.gen_time.astimezone(dt.timezone.utc).replace(tzinfo=None)
