"""Facts are read from the original each time, bounded like a page view, in the background."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import NotAnImage, Refused
from proxy.errors import BadKey, Busy, NotFound, StoreRefused, TooManyBytes
from proxy.facts.reader import FactsReader
from tests.proxy.conftest import ORIGINAL, Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.system.scratch import ScratchSpace

pytestmark = pytest.mark.anyio


@pytest.fixture
def reader(workshop: Workshop, policy: GenerationPolicy) -> FactsReader:
    return FactsReader(
        store=workshop.store, render_pool=workshop.render_pool, recipe=workshop.derivatives.recipe, policy=policy
    )


async def test_facts_are_of_the_file_as_it_is_now(
    reader: FactsReader, workshop: Workshop, scratch: ScratchSpace
) -> None:
    await workshop.upload()
    found = await reader.read(ORIGINAL)
    content = workshop.photo.read_bytes()
    assert (found.key, found.bytes, found.sha256) == (ORIGINAL, len(content), hashlib.sha256(content).hexdigest())
    assert (found.format, found.width, found.height) == ("jpeg", 480, 360)
    assert found.place is not None
    assert workshop.calls == {"head": 1, "fetch": 1}
    await reader.read(ORIGINAL)
    assert workshop.calls["fetch"] == 2
    assert [*scratch.own_folder().iterdir()] == []


async def test_an_original_that_is_missing_too_large_or_none_is_an_error(
    reader: FactsReader, workshop: Workshop, tmp_path: Path
) -> None:
    with pytest.raises(NotFound):
        await reader.read(ORIGINAL)
    with pytest.raises(BadKey):
        await reader.read(ORIGINAL.replace("original", "small"))
    text = tmp_path / "text"
    text.write_bytes(b"no image")
    await workshop.upload(path=text)
    with pytest.raises(NotAnImage):
        await reader.read(ORIGINAL)
    text.write_bytes(bytes((1 << 20) + 1))
    await workshop.upload(path=text)
    with pytest.raises(TooManyBytes):
        await reader.read(ORIGINAL)
    workshop.store.refused = ORIGINAL
    with pytest.raises(StoreRefused):
        await reader.read(ORIGINAL)


def test_a_refusal_is_an_error_that_clients_get() -> None:
    assert issubclass(NotAnImage, Refused)
    assert issubclass(Busy, Exception)
