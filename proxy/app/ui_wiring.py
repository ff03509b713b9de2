"""Builds the pages for people; imported only with UI=true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.app.public_urls import public_addresses
from proxy.jobs.listing import JobListing
from proxy.settings.masked import masked_values
from proxy.settings.settings import list_settings
from proxy.settings.validators import split
from proxy.ui.access.guard import Access
from proxy.ui.parts import Parts, ShownSetting
from proxy.ui.plots.history import History
from proxy.ui.routes.all_routes import ui_router

if TYPE_CHECKING:
    from litestar import Router

    from proxy.app.wiring import Components
    from proxy.pages.page import Pages
    from proxy.settings.settings import Settings

ASSETS: Final = "ui/assets"
NAVIGATION: Final = (
    ("/", "Drop"),
    ("/jobs", "Jobs"),
    ("/pictures", "Pictures"),
    ("/status", "Status"),
    ("/schema", "API"),
)
"""The links at the top of every page."""


def build_ui(components: Components, settings: Settings, pages: Pages) -> Router:
    """Build the routes of the pages."""
    access = Access(components.queue, password=settings.ui_password)
    return ui_router(_parts(components, settings), pages=pages, access=access)


def _parts(components: Components, settings: Settings) -> Parts:
    delivery = components.callback_delivery
    return Parts(
        store=components.store,
        reader=components.reader,
        derivatives=components.derivatives,
        facts=components.facts,
        uploads=components.uploads,
        jobs=components.jobs,
        listing=JobListing(components.queue),
        callback_queue=delivery.queue if delivery else None,
        control=components.control,
        takedowns=components.takedowns,
        render_pool=components.render_pool,
        readiness=components.readiness,
        addresses=public_addresses(settings, is_absolute=True),
        history=components.history or History(),
        draining=components.draining,
        settings=_shown(settings),
        originals_prefix=next(iter(split(settings.originals_prefix)), ""),
        max_upload_bytes=settings.max_upload_mb << 20,
    )


def _shown(settings: Settings) -> tuple[ShownSetting, ...]:
    values = masked_values(settings)
    return tuple(
        ShownSetting(
            name=one.name,
            value=str(values[one.name]),
            description=one.description,
            is_default=getattr(settings, one.name.lower()) == one.default,
        )
        for one in list_settings()
    )
