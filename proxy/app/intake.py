"""Builds what takes originals in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.intake.uploads.upload_service import UploadPolicy, UploadService
from proxy.intake.uploads.urls import UploadUrls
from proxy.settings.validators import split

if TYPE_CHECKING:
    from proxy.jobs.service import JobService
    from proxy.settings.settings import Settings
    from proxy.stores.base import Store
    from proxy.system.scratch import ScratchSpace
    from proxy.webhooks.handled import HandledMessages


def build_uploads(
    settings: Settings, *, store: Store, jobs: JobService, handled: HandledMessages, scratch: ScratchSpace
) -> UploadService:
    """Build the service of uploads."""
    origin = settings.public_origin
    urls = UploadUrls(split(settings.webhook_secrets), origin=origin, base_url=origin + settings.base_path)
    policy = UploadPolicy(max_bytes=settings.max_upload_mb << 20, scratch=scratch)
    return UploadService(store=store, jobs=jobs, urls=urls, handled=handled, policy=policy)
