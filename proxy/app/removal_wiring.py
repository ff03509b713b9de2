"""Builds what takes pictures down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.app.public_urls import absolute_base_url
from proxy.keys.syntax import url
from proxy.removal.addresses import PublicUrls
from proxy.removal.cdn.factory import purger_from
from proxy.removal.late_writes import LateWrites
from proxy.removal.takedowns import TakedownPolicy, Takedowns

if TYPE_CHECKING:
    from proxy.derivatives.recipe import Recipe
    from proxy.derivatives.service import DerivativeService
    from proxy.jobs.service import JobService
    from proxy.jobs.takedown.tombstones import Tombstones
    from proxy.queues.base import JobQueue
    from proxy.removal.cdn.base import CdnPurger
    from proxy.settings.settings import Settings
    from proxy.stores.base import Store
    from proxy.stores.probe.gate import StoreGate


def build_takedowns(
    settings: Settings,
    remembered_seconds: float,
    *,
    queue: JobQueue,
    jobs: JobService,
    derivatives: DerivativeService,
    late_writes: LateWrites,
    gate: StoreGate,
) -> Takedowns:
    """Build the takedowns; `remembered_seconds` is how long processes serve files from memory, if they do."""
    has_files = settings.delivery == "stream" or settings.store.startswith("file://")
    policy = TakedownPolicy(
        urls=late_writes.urls,
        purger=late_writes.purger,
        settle_seconds=remembered_seconds if has_files and settings.stream_cache_mb else 0.0,
        judge=gate.judge,
    )
    return Takedowns(queue=queue, jobs=jobs, derivatives=derivatives, policy=policy, late_writes=late_writes)


def build_late_writes(settings: Settings, *, store: Store, recipe: Recipe, tombstones: Tombstones) -> LateWrites:
    """Build what removes derivatives that were stored after their original was taken down."""
    service_url = f"{settings.public_origin}{settings.base_path}" if settings.public_origin else ""
    return LateWrites(
        store=store,
        recipe=recipe,
        tombstones=tombstones,
        urls=PublicUrls(files=absolute_base_url(settings), originals=settings.originals_base_url, service=service_url),
        purger=build_purger(settings),
    )


def build_purger(settings: Settings) -> CdnPurger | None:
    """Build the client that purges the CDN, or None without one; its check purges the address of the write probe."""
    return purger_from(
        settings.cdn_purge,
        token=settings.cdn_purge_token,
        check_url=url(absolute_base_url(settings), settings.probe_key),
        has_versions=settings.versioned_redirects,
    )
