"""The password of the pages."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest

from proxy.settings import validators
from proxy.ui.access.password import Password

SALT = bytes(range(16))
HASHED = hashlib.scrypt(b"correct horse battery", salt=SALT, n=16384, r=8, p=1, maxmem=64 << 20, dklen=32)
STORED = f"scrypt:16384:8:1:{b64encode(SALT).decode()}:{b64encode(HASHED).decode()}"


@pytest.mark.parametrize("setting", ["correct horse battery", STORED])
def test_only_the_password_matches(setting: str) -> None:
    password = Password.of(setting)
    assert password.matches("correct horse battery")
    for wrong in ("", "Correct horse battery", "\ud800", setting[:-1]):
        assert not password.matches(wrong)


def test_the_same_password_signs_the_sessions_of_all_machines_and_another_one_ends_them() -> None:
    keys = [Password.of(setting).key(b"sessions") for setting in ("a long password", "a long password", "another one!")]
    assert keys[0] == keys[1] != keys[2]


def test_the_password_itself_is_not_kept() -> None:
    assert "correct horse" not in repr(Password.of("correct horse battery"))


@pytest.mark.parametrize("value", ["", "twelve chars", STORED])
def test_a_password_or_its_hash_is_valid(value: str) -> None:
    assert validators.ui_password(value) is None


@pytest.mark.parametrize("value", ["short", "scrypt:", STORED[:-1], STORED.replace("16384", "2"), f"{STORED}x"])
def test_a_short_password_or_a_bad_hash_is_refused_without_being_quoted(value: str) -> None:
    fault = validators.ui_password(value)
    assert fault
    assert value not in fault or value == "scrypt:"
