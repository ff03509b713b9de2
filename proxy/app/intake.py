"""Builds what takes originals in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.intake.events.reactions import BucketEvents, EventPolicy
from proxy.intake.uploads.upload_service import UploadPolicy, UploadService
from proxy.intake.uploads.urls import UploadUrls
from proxy.settings.validators import split

if TYPE_CHECKING:
    from proxy.derivatives.service import DerivativeService
    from proxy.jobs.service import JobService
    from proxy.settings.settings import Settings
    from proxy.stores.base import Store
    from proxy.system.scratch import ScratchSpace
    from proxy.webhooks.handled import HandledMessages

ACCESS_POINT: Final = "arn:"
"""How the ARN of an access point begins; events have the name of the bucket behind it."""


def build_events(settings: Settings, *, store: Store, derivatives: DerivativeService, jobs: JobService) -> BucketEvents:
    """Build what acts on the events of the store's bucket; it accepts none if no token is set."""
    sns = None
    if settings.events_token:
        # Imported only here: httpx costs memory that a service without events saves.
        from proxy.intake.events.sns.inbox import SnsInbox  # noqa: PLC0415 - see above

        sns = SnsInbox()
    name = settings.store.removeprefix("s3://") if settings.store.startswith("s3://") else ""
    policy = EventPolicy(
        token=settings.events_token,
        bucket="" if name.startswith(ACCESS_POINT) else name,
        probe_key=settings.probe_key,
        removes=settings.events_remove,
    )
    return BucketEvents(policy=policy, store=store, derivatives=derivatives, jobs=jobs, sns=sns)


def build_uploads(
    settings: Settings, *, store: Store, jobs: JobService, handled: HandledMessages, scratch: ScratchSpace
) -> UploadService:
    """Build the service of uploads."""
    origin = settings.public_origin
    urls = UploadUrls(split(settings.webhook_secrets), origin=origin, base_url=origin + settings.base_path)
    policy = UploadPolicy(max_bytes=settings.max_upload_mb << 20, scratch=scratch)
    return UploadService(store=store, jobs=jobs, urls=urls, handled=handled, policy=policy)
