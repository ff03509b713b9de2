"""Whether the service can do its work: store, queue, scratch folder and render process, each tried for real."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from pipeline.errors import Refused
from proxy import metrics
from proxy.concurrency.singleflight import SingleFlight
from proxy.errors import ImagesError, Unforeseen

log = structlog.get_logger(__name__)

Probe = Callable[[], Awaitable[object]]

CHECK_SECONDS = 5.0
"""How long everything together may take; a platform's own patience is rarely longer."""


class Readiness:
    """Knows whether work can be taken on; requests that ask at the same time share one answer."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._flights: SingleFlight[list[str]] = SingleFlight()
        self.is_open = False
        """True between the end of starting and the begin of draining."""

    async def check(self) -> list[str]:
        """Tell what is missing, a sentence each; nothing when all is well."""
        if not self.is_open:
            return ["the service is starting or stopping"]
        return await self._flights.run("check", self._check)

    async def _check(self) -> list[str]:
        outcomes = await asyncio.gather(*(_try(name, probe) for name, probe in self._probes.items()))
        for name, fault in zip(self._probes, outcomes, strict=True):
            metrics.ready.labels(name).set(fault is None)
        return [fault for fault in outcomes if fault]


async def _try(name: str, probe: Probe) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await probe()
    except TimeoutError:
        log.warning("not_ready", part=name, detail=f"It did not answer within {CHECK_SECONDS:g} s.")
        return f"{name}: did not answer within {CHECK_SECONDS:g} s"
    except (ImagesError, Refused) as fault:
        log.warning("not_ready", part=name, detail=str(fault))
        return f"{name}: {fault.code}"
    except OSError as fault:  # no room for what is tried
        log.warning("not_ready", part=name, detail=str(fault))
        return f"{name}: {fault.strerror}"
    except Exception:
        log.exception("not_ready", part=name, detail="Nobody has thought of this.")
        return f"{name}: {Unforeseen.code}"
    return None
