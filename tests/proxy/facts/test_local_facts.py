"""Facts of local files: whatever is wrong with one file is reported about that file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.protocol import Limits
from proxy.concurrency.admission import Admission
from proxy.facts.local_facts import FileFacts, NoFacts, facts_of_file
from proxy.rendering.pool import PROBE_BYTES, RenderPool

if TYPE_CHECKING:
    from pathlib import Path


FAULT = 'forger.say(\'{"type": "fault", "trace": "ValueError"}\')'


@pytest.mark.anyio
async def test_a_fault_of_one_file_is_no_fault_of_the_next(tmp_path: Path) -> None:
    pool = RenderPool(
        admission=Admission(slots=1, budget_bytes=PROBE_BYTES),
        deadline_seconds=30,
        module="tests.proxy.rendering.forger",  # runs its originals
    )
    await pool.start()
    try:
        found: list[FileFacts | NoFacts] = []
        faults = ["os._exit(0)", "forger.say('no JSON')", FAULT]
        for number, code in enumerate([*faults, "forger.facts(creator='Ann')"]):
            path = tmp_path / f"{number}.jpg"
            path.write_text(code)
            found.append(await facts_of_file(pool, path, limits=Limits()))
    finally:
        await pool.close()
    assert "unexpected error" in str(found[2])
    assert [type(one) for one in found] == [NoFacts, NoFacts, NoFacts, FileFacts]
    assert [one.file for one in found] == [str(tmp_path / f"{number}.jpg") for number in range(4)]
