"""What the pages use of the service; nothing of it is built here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from proxy.derivatives.reader import BlobReader
    from proxy.derivatives.service import DerivativeService
    from proxy.facts.reader import FactsReader
    from proxy.intake.uploads.upload_service import UploadService
    from proxy.jobs.control import JobControl
    from proxy.jobs.listing import JobListing
    from proxy.jobs.service import JobService
    from proxy.keys.addresses import PublicAddresses
    from proxy.observability.readiness import Readiness
    from proxy.queues.base import JobQueue
    from proxy.removal.takedowns import Takedowns
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Store
    from proxy.ui.plots.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSetting:
    """A setting as the pages show it: secrets are masked."""

    name: str
    value: str
    description: str
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The services that the pages call, and the values that they show."""

    store: Store
    reader: BlobReader
    derivatives: DerivativeService
    facts: FactsReader
    uploads: UploadService
    jobs: JobService
    listing: JobListing
    callback_queue: JobQueue | None
    control: JobControl
    takedowns: Takedowns
    render_pool: RenderPool
    readiness: Readiness
    addresses: PublicAddresses
    history: History
    draining: asyncio.Event
    settings: Sequence[ShownSetting]
    originals_prefix: str
    """What the keys of new originals begin with."""
    max_upload_bytes: int
