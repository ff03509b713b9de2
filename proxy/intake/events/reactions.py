"""Acts on events: what counts is what the store has now, so events may come late, twice or in any order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import structlog

from proxy import metrics
from proxy.concurrency.singleflight import SingleFlight
from proxy.derivatives.recipe import ETAG
from proxy.errors import Busy, NotFound, OrderTakenDown
from proxy.intake.events.forms.reading import read_events, split_documents
from proxy.intake.events.token import check_token
from proxy.jobs.request import JobRequest
from proxy.keys.layouts import is_original
from proxy.keys.shadow import REPLACED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.derivatives.purge import PurgedKeys
    from proxy.derivatives.service import DerivativeService
    from proxy.intake.events.bucket_event import BucketEvent
    from proxy.intake.events.sns.inbox import SnsInbox
    from proxy.jobs.job import Job
    from proxy.jobs.service import JobService
    from proxy.stores.base import Blob, Store

log = structlog.get_logger(__name__)

ANSWER_SECONDS: Final = 4.0
"""After so long, the sender has to send again: EventBridge waits for 5 s, Tigris for 10 s and SNS for 15 s."""

CONCURRENT: Final = 8
"""How many originals of one request are looked at concurrently."""

AGAIN_SECONDS: Final = 10
"""When to send again what was not handled in time."""

VERSIONS: Final = ".versions"
"""How SeaweedFS ends the name of the folder with the versions of an object."""

Outcome = Literal[
    "queued",
    "fresh",
    "purged",
    "kept",
    "missing",
    "taken-down",
    "own",
    "no-original",
    "other-bucket",
    "other-change",
]

DETAILS: Final[Mapping[Outcome, str]] = {
    "queued": "A job renders the derivatives of this original.",
    "fresh": "All derivatives of this original are up to date.",
    "purged": "The original is gone, and its derivatives were deleted.",
    "kept": "The original is gone; its derivatives are kept, because EVENTS_REMOVE is not set.",
    "missing": "The store has no such original (any longer).",
    "taken-down": "The original was taken down; only a signed post or upload publishes it again.",
    "own": "The service itself writes under this key.",
    "no-original": "This is not the key of an original.",
    "other-bucket": "This is not the bucket of this service.",
    "other-change": "Only files that are written or deleted matter.",
}
"""Outcome -> what was done because of an event, or why nothing was."""


class HandledEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of the events about one object; `job` is the id of its job, if there is one."""

    bucket: str
    key: str
    outcome: Outcome
    detail: str
    job: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPolicy:
    """Whose events are accepted, and what is done on a removal.

    Without `token`, none are accepted. `bucket` is empty if the store is a folder: then the name is not checked.
    `probe_key` is that of the write probe.
    """

    token: str
    bucket: str
    probe_key: str
    removes: bool


class BucketEvents:
    """What acts on the events of a bucket: it submits jobs, and purges derivatives.

    Each event is only a hint that an original may have changed. So an event that is late, repeated or out of order
    does no harm, and no event has to be remembered.
    """

    def __init__(
        self,
        *,
        policy: EventPolicy,
        store: Store,
        derivatives: DerivativeService,
        jobs: JobService,
        sns: SnsInbox | None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._policy = policy
        self._store = store
        self._derivatives = derivatives
        self._jobs = jobs
        self._sns = sns
        self._answer_seconds = answer_seconds
        self._purges: SingleFlight[PurgedKeys] = SingleFlight()

    def check_sender(self, *, authorization: str | None, in_query: str | None) -> None:
        """Raise unless a sender presents the token; see `check_token`.

        Raises:
            NotFound: no events are accepted.
            BadToken: it does not.
        """
        if not self._policy.token:
            raise NotFound("This service accepts no events of buckets; its operator can set EVENTS_TOKEN.")
        check_token(self._policy.token, authorization=authorization, in_query=in_query)

    async def handle(self, body: bytes) -> tuple[HandledEvent, ...]:
        """Act on the events in the body of a request; when this returns, the queue has stored their jobs.

        Raises:
            BadEvent: the body is no event of a form that is read.
            BadSignature, SnsUnreachable: see `SnsInbox.open`.
            Busy: the queue is full, or not everything was done in time; the sender has to send the body again.
            StoreError, QueueUnavailable: see `proxy.errors`; likewise.
        """
        try:
            async with asyncio.timeout(self._answer_seconds):
                handled = await self._handle(body)
        except TimeoutError:
            detail = f"Not all events were handled within {self._answer_seconds:g} s; send them again."
            raise Busy(detail, retry_after_seconds=AGAIN_SECONDS) from None
        for one in handled:
            metrics.events_total.labels(one.outcome).inc()
            if one.outcome in ("queued", "purged"):
                log.info("event_handled", key=one.key, outcome=one.outcome, **({"job_id": one.job} if one.job else {}))
        return handled

    async def close(self) -> None:
        """End the purges that are running."""
        await self._purges.close()

    async def _handle(self, body: bytes) -> tuple[HandledEvent, ...]:
        documents = split_documents(body)
        if self._sns:
            documents = [inner for outer in documents if (inner := await self._sns.open(outer)) is not None]
        of_objects: dict[tuple[str, str], list[BucketEvent]] = {}
        for event in read_events(documents):
            of_objects.setdefault((event.bucket, event.key), []).append(event)
        slots = asyncio.Semaphore(CONCURRENT)

        async def handle_one(events: list[BucketEvent]) -> HandledEvent:
            async with slots:
                return await self._handle_object(events)

        outcomes = await asyncio.gather(*map(handle_one, of_objects.values()), return_exceptions=True)
        if fault := next((one for one in outcomes if isinstance(one, BaseException)), None):
            raise fault  # the sender repeats all events, and those that were handled need no more work
        return tuple(one for one in outcomes if isinstance(one, HandledEvent))

    async def _handle_object(self, events: list[BucketEvent]) -> HandledEvent:
        """Act on the events about one object."""
        bucket, key = events[0].bucket, events[0].key
        outcome, job = self._irrelevance(events), ""
        if outcome is None:
            outcome, job = await self._look(key, is_removal=any(event.change == "removed" for event in events))
        return HandledEvent(bucket=bucket, key=key, outcome=outcome, detail=DETAILS[outcome], job=job)

    def _irrelevance(self, events: list[BucketEvent]) -> Outcome | None:
        """Return why events about one object do not matter, without a call of the store; None if they may."""
        key = events[0].key
        if self._policy.bucket not in ("", events[0].bucket):
            return "other-bucket"
        if all(event.change == "other" for event in events):
            return "other-change"
        if self._is_own(key):
            return "own"
        return None if _is_plain(key) and is_original(self._derivatives.recipe.layout, key) else "no-original"

    def _is_own(self, key: str) -> bool:
        """Return whether the service writes under a key: its events must not make it work again."""
        recipe = self._derivatives.recipe
        layouts = (recipe.layout, *recipe.other_layouts)
        is_derivative = any(layout.original_of(key) is not None for layout in layouts)
        # What a promotion kept may be of a size that is no longer configured.
        return is_derivative or key == self._policy.probe_key or key.startswith(REPLACED)

    async def _look(self, key: str, *, is_removal: bool) -> tuple[Outcome, str]:
        """Look at an original, and do what is due; return the outcome, and the id of its job."""
        original = await self._store.head(key)
        if original is None and not is_removal:
            return "missing", ""
        if original is None and not self._policy.removes:
            return "kept", ""
        if original is None:
            # A purge goes on even if the sender no longer waits, so that what is cached agrees with the store.
            await self._purges.run(key, lambda: self._derivatives.purge(key))
            original = await self._store.head(key)  # a new original may have been rendered before the deletions
            if original is None:
                return "purged", ""
        if await self._is_rendered(original):
            return "fresh", ""
        try:
            return "queued", (await self._submit(key)).id
        except OrderTakenDown:
            return "taken-down", ""

    async def _is_rendered(self, original: Blob) -> bool:
        """Return whether the store has every size of an original, each rendered from its bytes of today."""
        recipe = self._derivatives.recipe
        found = await asyncio.gather(*map(self._store.head, recipe.keys_of(original.key)))
        return all(blob is not None and blob.attributes.metadata.get(ETAG) == original.etag for blob in found)

    async def _submit(self, key: str) -> Job:
        """Submit a job for an original: the only place where an event becomes a job.

        Raises:
            OrderTakenDown: the original was taken down, and no event may bring it back.
        """
        return await self._jobs.submit_unless_taken_down(JobRequest(key=key))


def _is_plain(key: str) -> bool:
    """Return whether no segment of a key is hidden, as parts of uploads are, or a folder of versions."""
    return not any(segment.startswith(".") or segment.endswith(VERSIONS) for segment in key.split("/"))
