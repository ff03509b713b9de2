"""Readiness checks that actually use the store, the queue, the scratch folder and a render process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime

import structlog

from pipeline.errors import Refused
from proxy import metrics
from proxy.concurrency.singleflight import SingleFlight
from proxy.errors import ImagesError, UnexpectedError

log = structlog.get_logger(__name__)

Probe = Callable[[], Awaitable[object]]
ReadPause = Callable[[], Awaitable[datetime | None]]

CHECK_SECONDS = 5.0
"""The timeout of all probes, which run concurrently. The health checks of platforms rarely wait for longer."""


class Readiness:
    """The readiness of the service to accept work; concurrent requests share one check."""

    def __init__(self, probes: Mapping[str, Probe], *, read_pause: ReadPause | None = None) -> None:
        self._probes = probes
        self._read_pause = read_pause
        self._flights: SingleFlight[list[str]] = SingleFlight()
        self.is_open = False
        """True from the end of the startup until draining begins."""
        self.paused_since: datetime | None = None
        """When the queue was paused, as of the last check that could read it; the service is ready nevertheless."""

    async def check(self) -> list[str]:
        """Return one message for each component that fails; an empty list means that the service is ready."""
        if not self.is_open:
            return ["the service is starting or stopping"]
        return await self._flights.run("check", self._check)

    async def _check(self) -> list[str]:
        pausing = asyncio.create_task(self._refresh_pause())
        outcomes = await asyncio.gather(*(_try(name, probe) for name, probe in self._probes.items()))
        await pausing
        for name, fault in zip(self._probes, outcomes, strict=True):
            metrics.ready.labels(name).set(fault is None)
        return [fault for fault in outcomes if fault]

    async def _refresh_pause(self) -> None:
        with suppress(ImagesError, TimeoutError):  # the probe of the queue reports it
            async with asyncio.timeout(CHECK_SECONDS):
                self.paused_since = await self._read_pause() if self._read_pause else None


async def _try(name: str, probe: Probe) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await probe()
    except TimeoutError:
        log.warning("component_not_ready", part=name, detail=f"The check timed out after {CHECK_SECONDS:g} s.")
        return f"{name}: timed out after {CHECK_SECONDS:g} s"
    except (ImagesError, Refused) as fault:
        log.warning("component_not_ready", part=name, detail=str(fault))
        brief = getattr(fault, "brief", "")
        return f"{name}: {fault.code}: {brief}" if brief else f"{name}: {fault.code}"
    except OSError as fault:  # a full disk, for example
        log.warning("component_not_ready", part=name, detail=str(fault))
        return f"{name}: {fault.strerror}"
    except Exception:
        log.exception("component_not_ready", part=name, detail="The check raised an unexpected error.")
        return f"{name}: {UnexpectedError.code}"
    return None
