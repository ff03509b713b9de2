"""Signatures by the key of a certificate: RSA with PKCS #1 v1.5 (RFC 8017, section 8.2.2), verified, never made."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from proxy.errors import BadSignature

if TYPE_CHECKING:
    from collections.abc import Mapping

Hash = Literal["sha1", "sha256"]

_BEFORE_DIGEST: Final[Mapping[Hash, bytes]] = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
}
"""How the encoded hash begins (RFC 8017, section 9.2, note 1)."""

_RSA: Final = bytes.fromhex("06092a864886f70d010101")
"""The encoded name of the algorithm of an RSA key."""

_MIN_BITS, _MAX_BITS, _MAX_EXPONENT = 2048, 8192, 1 << 32
"""Bounds of a key; Amazon's have 2,048 bits and the exponent 65,537."""

_SEQUENCE, _INTEGER, _BIT_STRING, _VERSION = 0x30, 0x02, 0x03, 0xA0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """An RSA key."""

    modulus: int
    exponent: int

    def verify(self, text: bytes, signature: bytes, *, digest: Hash) -> None:
        """Raise unless `signature` is that of `text`.

        The whole padded hash is compared, as the standard demands; nothing of the signature is parsed.

        Raises:
            BadSignature: it is not.
        """
        length = (self.modulus.bit_length() + 7) // 8
        encoded = _BEFORE_DIGEST[digest] + hashlib.new(digest, text, usedforsecurity=False).digest()
        expected = b"\x00\x01" + b"\xff" * (length - len(encoded) - 3) + b"\x00" + encoded
        number = int.from_bytes(signature, "big")
        is_valid = len(signature) == length and number < self.modulus
        if not is_valid or pow(number, self.exponent, self.modulus).to_bytes(length, "big") != expected:
            raise BadSignature("The signature of the SNS message is not that of its certificate.")


def key_of_certificate(pem: str) -> PublicKey:
    """Return the key in a certificate; whether to trust the certificate is up to the caller.

    Raises:
        BadSignature: it is not a certificate of an RSA key of 2,048 to 8,192 bits.
    """
    try:
        certificate = _only(_parts(ssl.PEM_cert_to_DER_cert(pem)), _SEQUENCE)
        fields = [(tag, content) for tag, content in _parts(_parts(certificate)[0][1]) if tag != _VERSION]
        algorithm, bits = _parts(fields[5][1])  # after serial number, algorithm, issuer, validity and subject
        numbers = _parts(_only(_parts(_bits(bits)), _SEQUENCE))
        (modulus, exponent) = (int.from_bytes(content, "big") for tag, content in numbers if tag == _INTEGER)
        is_rsa = algorithm[1].startswith(_RSA)
    except (ValueError, IndexError) as fault:
        raise BadSignature("The certificate of the SNS message cannot be read.") from fault
    if not is_rsa or not _MIN_BITS <= modulus.bit_length() <= _MAX_BITS or not 1 < exponent < _MAX_EXPONENT:
        raise BadSignature("The certificate of the SNS message has no RSA key of 2,048 to 8,192 bits.")
    return PublicKey(modulus=modulus, exponent=exponent)


def _parts(encoded: bytes) -> list[tuple[int, bytes]]:
    """Return the tags and contents of values in DER (X.690), one behind the other.

    Raises:
        ValueError: a length is beyond the end.
        IndexError: the last value is cut off.
    """
    parts, at = [], 0
    while at < len(encoded):
        tag, length, at = encoded[at], encoded[at + 1], at + 2
        if length & 0x80:
            width = length & 0x7F
            length, at = int.from_bytes(encoded[at : at + width], "big"), at + width
        if at + length > len(encoded):
            raise ValueError("The certificate is cut off.")
        parts.append((tag, encoded[at : at + length]))
        at += length
    return parts


def _only(parts: list[tuple[int, bytes]], expected: int) -> bytes:
    ((tag, content),) = parts
    if tag != expected:
        raise ValueError("The certificate has another structure.")
    return content


def _bits(part: tuple[int, bytes]) -> bytes:
    tag, content = part
    if tag != _BIT_STRING or content[0] != 0:  # the number of bits that do not count
        raise ValueError("The certificate has another structure.")
    return content[1:]
