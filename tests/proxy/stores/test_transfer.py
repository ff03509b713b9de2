"""Tests of the verification of received bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.transfer import save, verified

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

MD5 = hashlib.md5(b"bytes", usedforsecurity=False).hexdigest()


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for number in range(len(body)):
        yield body[number : number + 1]


@pytest.mark.parametrize("md5s", [(), (MD5,), (MD5, "another")])
async def test_what_was_announced_is_saved(tmp_path: Path, md5s: tuple[str, ...]) -> None:
    await save(verified(pieces(b"bytes"), announced_bytes=5, md5s=md5s), tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == b"bytes"


@pytest.mark.parametrize("body", [b"", b"byte", b"bytes!", b"Bytes"])
async def test_what_was_not_announced_leaves_nothing(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(StoreUnavailable):
        await save(verified(pieces(body), announced_bytes=5, md5s=(MD5,)), tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


async def test_an_endless_answer_is_left_at_once() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    taken = verified(endless(), announced_bytes=5)
    with pytest.raises(StoreUnavailable, match="announced 5 bytes"):
        assert len([chunk async for chunk in taken]) == 5
