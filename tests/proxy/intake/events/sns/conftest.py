"""Amazon SNS as it signs: a key, its certificate, and messages."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping

CERTIFICATE_URL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"

NAMES = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What of each kind of message is signed, as Amazon documents it."""


@dataclass(frozen=True)
class Sns:
    """The sender, with a key of its own."""

    key: rsa.RSAPrivateKey

    @property
    def certificate(self) -> bytes:
        """Return the certificate of its key."""
        return certificate(self.key)

    def sign(self, text: bytes, version: Literal["1", "2"] = "2") -> bytes:
        """Sign a text as this version of the signature does."""
        return self.key.sign(text, padding.PKCS1v15(), SHA1() if version == "1" else SHA256())  # noqa: S303 - of SNS

    def message(self, kind: str, text: str, *, version: Literal["1", "2"] = "2", **more: str) -> dict[str, str]:
        """Return a signed message; `more` are further or other fields."""
        fields = {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:us-east-1:123456789012:originals",
            "Message": text,
            "Timestamp": "2026-11-29T05:24:03.816Z",
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE_URL,
            **more,
        }
        return {**fields, "Signature": b64encode(self.sign(signed_text(fields), version)).decode()}


def signed_text(fields: Mapping[str, str]) -> bytes:
    return "".join(f"{name}\n{fields[name]}\n" for name in NAMES[fields["Type"]] if name in fields).encode()


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate of a key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    began = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=7,
        not_valid_before=began,
        not_valid_after=began + timedelta(days=365),
        extensions=[],
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="session")
def sns() -> Sns:
    return Sns(rsa.generate_private_key(public_exponent=65537, key_size=2048))
