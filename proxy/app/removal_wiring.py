"""Builds what takes pictures down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.app.public_urls import absolute_base_url
from proxy.keys.syntax import url
from proxy.removal.addresses import PublicUrls
from proxy.removal.cdn.factory import purger_from
from proxy.removal.takedowns import TakedownPolicy, Takedowns

if TYPE_CHECKING:
    from proxy.derivatives.service import DerivativeService
    from proxy.jobs.service import JobService
    from proxy.queues.base import JobQueue
    from proxy.removal.cdn.base import CdnPurger
    from proxy.settings.settings import Settings
    from proxy.stores.base import Store


def build_takedowns(
    settings: Settings,
    *,
    queue: JobQueue,
    jobs: JobService,
    store: Store,
    derivatives: DerivativeService,
    remembered_seconds: float,
) -> Takedowns:
    """Build the takedowns; `remembered_seconds` is how long processes serve files from memory, if they do."""
    has_files = settings.delivery == "stream" or settings.store.startswith("file://")
    service_url = f"{settings.public_origin}{settings.base_path}" if settings.public_origin else ""
    policy = TakedownPolicy(
        urls=PublicUrls(files=absolute_base_url(settings), originals=settings.originals_base_url, service=service_url),
        purger=build_purger(settings),
        settle_seconds=remembered_seconds if has_files and settings.stream_cache_mb else 0.0,
    )
    return Takedowns(queue=queue, jobs=jobs, store=store, derivatives=derivatives, policy=policy)


def build_purger(settings: Settings) -> CdnPurger | None:
    """Build the client that purges the CDN, or None without one; its check purges the address of the write probe."""
    return purger_from(
        settings.cdn_purge,
        token=settings.cdn_purge_token,
        check_url=url(absolute_base_url(settings), settings.probe_key),
        has_versions=settings.versioned_redirects,
    )
