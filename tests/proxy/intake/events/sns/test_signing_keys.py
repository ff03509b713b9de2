"""Signatures of SNS are verified as another implementation makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from proxy.errors import BadSignature
from proxy.intake.events.sns.signing_keys import Hash, key_of_certificate
from tests.proxy.intake.events.sns.conftest import certificate

if TYPE_CHECKING:
    from tests.proxy.intake.events.sns.conftest import Sns

TEXT = b"Message\nof a bucket\n"


@pytest.mark.parametrize(("version", "digest"), [("1", "sha1"), ("2", "sha256")])
def test_both_versions_of_the_signature_are_verified(sns: Sns, version: Literal["1", "2"], digest: Hash) -> None:
    key = key_of_certificate(sns.certificate.decode())
    key.verify(TEXT, sns.sign(TEXT, version), digest=digest)


def test_a_key_of_another_length_is_read() -> None:
    private = rsa.generate_private_key(public_exponent=3, key_size=2049)
    key = key_of_certificate(certificate(private).decode())
    key.verify(TEXT, private.sign(TEXT, padding.PKCS1v15(), SHA256()), digest="sha256")


def test_every_other_signature_is_refused(sns: Sns) -> None:
    key, good = key_of_certificate(sns.certificate.decode()), sns.sign(TEXT)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    number = int.from_bytes(good, "big") + key.modulus
    bad = [
        b"",
        good[:-1],
        good + b"\x00",
        bytes(len(good)),
        b"\xff" * len(good),
        number.to_bytes(len(good) + 1, "big"),
        bytes([good[0] ^ 1]) + good[1:],
        other.sign(TEXT, padding.PKCS1v15(), SHA256()),
        sns.key.sign(TEXT, padding.PKCS1v15(), SHA512()),
        sns.key.sign(TEXT, padding.PSS(padding.MGF1(SHA256()), 32), SHA256()),
        sns.sign(TEXT, "1"),
        sns.sign(TEXT + b" "),
    ]
    for signature in bad:
        with pytest.raises(BadSignature):
            key.verify(TEXT, signature, digest="sha256")


def test_a_certificate_that_is_cut_or_changed_is_refused_or_has_another_key(sns: Sns) -> None:
    pem = sns.certificate.decode()
    for end in range(0, len(pem), 7):
        with pytest.raises(BadSignature):
            key_of_certificate(pem[:end])


@pytest.mark.parametrize("pem", ["", "text", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "é"])
def test_what_is_no_certificate_is_refused(pem: str) -> None:
    with pytest.raises(BadSignature, match="cannot be read"):
        key_of_certificate(pem)


@pytest.mark.parametrize("kind", ["short", "curve"])
def test_other_keys_are_refused(kind: str) -> None:
    key = (
        rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - refused for it
        if kind == "short"
        else ec.generate_private_key(ec.SECP256R1())
    )
    with pytest.raises(BadSignature):
        key_of_certificate(certificate(key).decode())
