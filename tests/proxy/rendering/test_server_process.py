"""One process of a fork server: what its end leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from proxy.errors import ProcessDied
from proxy.rendering.server_process import ServerProcess
from tests.proxy.rendering import holder
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_stopped_child_that_holds_the_sockets_of_its_fork_server_does_not_keep_the_service(
    tmp_path: Path,
) -> None:
    process = ServerProcess.start(holder.__name__, work_folder=tmp_path)

    async def ended() -> bool:
        return not process.is_alive

    await until(ended)
    child = int((tmp_path / "child").read_text())
    try:
        assert not process.ready.done()
        async with asyncio.timeout(20):
            await process.stop()
        with pytest.raises(ProcessDied):
            await process.ready
    finally:
        os.kill(child, signal.SIGKILL)
