"""The signature that an HTTP receiver checks, as SMN's user guide has it ("Message Signature Verification").

::

    text      = "message\\n<message>\\nmessage_id\\n<message_id>\\n…": the fields by name, each name and value a line
    signature = base64(RSA PKCS #1 v1.5 with SHA-256)

The guide's own receiver takes the algorithm from the certificate (``cert.getSigAlgName()``), so key, certificate and
signature agree on SHA256withRSA. Signed are message, message_id, timestamp, topic_urn and type, and of a notice its
subject (if it has one), of the others their subscribe_url.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from headrace.domain.errors import HomeUnusable
from headrace.home import write_private_text
from headrace.notify.base import MessageKind

KEY_BITS = 3072
YEARS = 30
"""Of the certificate: it names a key, it is no promise of anybody else."""
_COMMON = ("message", "message_id", "timestamp", "topic_urn", "type")


class Signer:
    """Signs the bodies of HTTP messages with one RSA key."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        digest = sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
        self.certificate_name = f"SMN_{digest[:32]}.pem"
        """Last part of the certificate's URL: another key has another one, as receivers keep what they fetched."""

    def sign(self, body: Mapping[str, str]) -> str:
        """The value of ``signature`` for this body, which has its other fields."""
        signature = self._key.sign(signed_text(body).encode(), padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signature).decode()


def signed_text(body: Mapping[str, str]) -> str:
    """The text that is signed of a body."""
    if body["type"] == MessageKind.NOTIFICATION:
        names = (*_COMMON, "subject") if body.get("subject") else _COMMON
    else:
        names = (*_COMMON, "subscribe_url")
    return "".join(f"{name}\n{body[name]}\n" for name in sorted(names))


def open_signer(path: Path, now: datetime) -> Signer:
    """The signer whose key and certificate are in the file at ``path``, which is made if there is none.

    Raises:
        HomeUnusable: the file cannot be made or read, or is damaged.
    """
    try:
        if not path.exists():
            write_private_text(path, _fresh(now))
        pem = path.read_bytes()
    except OSError as error:
        raise HomeUnusable(f"The key of notices {path} cannot be made or read: {error.strerror}.") from error
    try:
        key = serialization.load_pem_private_key(pem, password=None)
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise HomeUnusable(f"{path} is damaged. Restore it, or remove it for a new key and certificate.") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise HomeUnusable(f"{path} must hold an RSA key and its certificate. Restore it, or remove it for new ones.")
    return Signer(key, certificate)


def _fresh(now: datetime) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Headrace notices")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),  # for receivers whose clock is late
        not_valid_after=now + timedelta(days=365 * YEARS),
    )
    certificate = builder.sign(key, hashes.SHA256())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (text + certificate.public_bytes(serialization.Encoding.PEM)).decode()
