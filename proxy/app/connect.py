"""Probes of everything the service depends on: store, queue, scratch folder and render processes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

from pipeline.errors import Refused
from proxy.app.removal_wiring import build_purger
from proxy.app.start_faults import cdn_fault, queue_fault, render_fault, scratch_fault, store_fault
from proxy.app.wiring import build_probe, build_scratch, store_config
from proxy.errors import ImagesError
from proxy.queues.factory import open_queue
from proxy.rendering.local import local_renderers
from proxy.rendering.memory_budget import LEAST_BUDGET_BYTES
from proxy.stores.factory import open_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from proxy.settings.settings import Settings

PROBE_SECONDS: Final = 10.0
"""The timeout of a probe."""

ENDING_SECONDS: Final = 1.0
"""How long a probe may take to end after its timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartProbe:
    """A use of one part, and the function that explains its errors."""

    use: Callable[[], Awaitable[None]]
    explain: Callable[[Exception], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResults:
    """The faults of the probed parts: `faults` maps each part to a message, or to None if it works.

    `is_late` means that a probe timed out. A thread of it may still wait for a hung disk, and nothing can end that
    thread, so this process should not wait for its threads either.
    """

    faults: Mapping[str, str | None]
    is_late: bool
    sandbox: str
    """What confines render processes, in words; empty if none started."""


async def probe_parts(settings: Settings, *, seconds: float = PROBE_SECONDS) -> ProbeResults:
    """Use every part once, all at the same time, and return all faults; each probe has `seconds`.

    The store gets the write probe, which is read back where browsers read it. The queue gets a test write, the scratch
    folder a test file, and a render process renders a tiny picture. A CDN is asked to purge one URL.
    """
    found: list[str] = []
    probes = {
        "store": PartProbe(use=partial(_use_store, settings), explain=partial(store_fault, settings=settings)),
        "queue": PartProbe(use=partial(_use_queue, settings), explain=partial(queue_fault, settings=settings)),
        "scratch": PartProbe(use=partial(_use_scratch, settings), explain=scratch_fault),
        "renderers": PartProbe(use=partial(_render, settings, seconds, found), explain=render_fault),
    }
    if purger := build_purger(settings):
        probes["cdn"] = PartProbe(use=purger.check, explain=cdn_fault)
    tasks = {name: asyncio.create_task(_error(probe, seconds)) for name, probe in probes.items()}
    await asyncio.wait(tasks.values(), timeout=seconds + ENDING_SECONDS)
    errors = {name: task.result() if task.done() else _late(seconds) for name, task in tasks.items()}
    return ProbeResults(
        faults={name: probes[name].explain(error) if error else None for name, error in errors.items()},
        is_late=any(isinstance(error, Late) for error in errors.values()),
        sandbox="".join(found),
    )


class Late(TimeoutError):
    """A probe that took too long."""


async def _error(probe: PartProbe, seconds: float) -> Exception | None:
    try:
        async with asyncio.timeout(seconds) as limit:
            await probe.use()
    except TimeoutError as error:
        if not limit.expired():
            return error
        late = _late(seconds)
        late.__cause__ = error  # the last failed attempt is among its causes
        return late
    except (ImagesError, Refused, OSError) as error:
        return error
    return None


def _late(seconds: float) -> Late:
    return Late(f"no response within {seconds:g} s")


async def _use_store(settings: Settings) -> None:
    store = open_store(store_config(settings))
    await store.start()
    try:
        if fault := (await build_probe(store, settings).run()).fault:
            raise fault
    finally:
        await store.close()


async def _use_queue(settings: Settings) -> None:
    queue = open_queue(settings.queue, name="derivatives")
    await queue.connect()
    try:
        await queue.check()
    finally:
        await queue.disconnect()


async def _use_scratch(settings: Settings) -> None:
    if folder := os.environ.get("TMPDIR"):
        TemporaryFile(dir=folder).close()  # if this fails, Python uses another folder instead
    scratch = build_scratch(settings)
    with scratch.opened():
        await scratch.check()


async def _render(settings: Settings, seconds: float, found: list[str]) -> None:
    """Render a tiny picture, and append what confined the render process to `found`."""
    async with local_renderers(
        budget_bytes=LEAST_BUDGET_BYTES, deadline_seconds=seconds, sandbox=settings.sandbox
    ) as render_pool:
        await render_pool.check()
        found.append(render_pool.sandbox)
