"""The ASGI application that answers all requests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide

from proxy.app.public_urls import public_addresses
from proxy.http.dependencies import JobApi
from proxy.http.document.described import DescribedService
from proxy.http.fallback import FallbackImage, answering
from proxy.http.openapi import JsonDocument, openapi
from proxy.http.protocol.middleware import middleware
from proxy.http.query import refuse_unknown_parameters
from proxy.http.routes.bucket_events import post_events
from proxy.http.routes.facts import facts_route
from proxy.http.routes.files import files_route
from proxy.http.routes.health import healthz, readyz
from proxy.http.routes.images import PATH, TEMPLATE, Redirects, redirecting_route, shortcut, streaming_route
from proxy.http.routes.jobs import get_job, jobs_options, list_jobs, post_job, replay_job
from proxy.http.routes.operations import cancel_job, get_queue, pause_queue, replay_jobs, resume_queue
from proxy.http.routes.pictures import pictures_route
from proxy.http.routes.purge import purge_route
from proxy.http.routes.recalled import file_route, image_route, remembered_shortcut
from proxy.http.routes.takedown import takedown_app
from proxy.http.routes.upload import post_upload, put_upload
from proxy.optional_imports import unavailable
from proxy.pages.page import Pages, page_headers
from proxy.pages.reference import ReferencePage
from proxy.pages.routes import page_routes
from proxy.settings.validators import split

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import ASGIApp

    from proxy.app.wiring import Components
    from proxy.http.protocol.connection import Shortcut
    from proxy.http.protocol.streaming import Headers
    from proxy.settings.settings import Settings

STREAM = "stream"
ANY_ORIGIN = "*"
FOLDER = "file://"


def create_app(components: Components, settings: Settings) -> ASGIApp:
    """Return the complete ASGI application, to be served inside `lifecycle.running`."""
    return middleware(routes(components, settings), fixed_headers=_fixed_headers(settings))


def create_shortcut(components: Components, settings: Settings) -> Shortcut:
    """Return what answers requests for cached and for remembered derivatives before the application."""
    fixed_headers, has_cors = _fixed_headers(settings), bool(settings.cors_origins)
    recall = components.reader.recall
    if settings.delivery == STREAM:
        views = image_route(components.recipe, cache_control=settings.cache_control)
        images = remembered_shortcut(views, recall, fixed_headers=fixed_headers, has_cors=has_cors)
    else:
        redirects = _redirects(settings)
        images = shortcut(components.derivatives, redirects, fixed_headers=fixed_headers, has_cors=has_cors)
    if not _has_files(settings):
        return images
    files = remembered_shortcut(file_route(), recall, fixed_headers=fixed_headers, has_cors=has_cors)
    return lambda method, target, headers: images(method, target, headers) or files(method, target, headers)


def _has_files(settings: Settings) -> bool:
    """Return whether the service serves the files of the store; otherwise browsers read the bucket directly."""
    return settings.delivery == STREAM or settings.store.startswith(FOLDER)


def _fixed_headers(settings: Settings) -> Headers:
    """Return the headers of every response."""
    fixed_headers = [(b"x-content-type-options", b"nosniff")]
    if settings.timing_allow_origin:
        fixed_headers.append((b"timing-allow-origin", settings.timing_allow_origin.encode()))
    if settings.cors_origins not in {"", ANY_ORIGIN}:
        fixed_headers.append((b"vary", b"origin"))  # also without an Origin header, as caches may keep the response
    return fixed_headers


def routes(components: Components, settings: Settings) -> Litestar:
    """Return the Litestar application with every route."""
    is_streaming = settings.delivery == STREAM
    images = (
        streaming_route(components.derivatives, components.reader, cache_control=settings.cache_control)
        if is_streaming
        else redirecting_route(components.derivatives, _redirects(settings))
    )
    mounts: list[ASGIRouteHandler | Router] = [images]
    if _has_files(settings):
        mounts.append(files_route(components.reader, layout=components.recipe.layout))
    pages = _pages(settings)
    if settings.ui:
        # Imported only here: a service without pages needs no part of them.
        from proxy.app.ui_wiring import build_ui  # noqa: PLC0415 - see above

        mounts.append(build_ui(components, settings, pages))

    @cache
    def document() -> dict[str, Any]:
        # Its examples need memory, which a service whose document is never requested does not spend.
        from proxy.http.document.complete import completed  # noqa: PLC0415

        return completed(app.openapi_schema, _described(components, settings))

    # It would load plugins for libraries that no route uses, if other packages have installed them; they cost 10 MB.
    with unavailable("attr", "attrs", "pydantic"):
        app = Litestar(
            route_handlers=[
                *mounts,
                _version_1(components, settings),
                healthz,
                readyz,
                *page_routes(pages, components.recipe.sizes, has_front=not settings.ui),
            ],
            dependencies=_dependencies(components, settings),
            exception_handlers={Exception: answering(_fallback(settings), template=PATH + TEMPLATE)},
            cors_config=CORSConfig(allow_origins=split(settings.cors_origins)) if settings.cors_origins else None,
            openapi_config=openapi(
                [ReferencePage(pages, document, origin=settings.public_origin), JsonDocument(document)],
                headers=page_headers(),
            ),
            state=State({"document": document}),
            logging_config=None,
        )
    return app


def _dependencies(components: Components, settings: Settings) -> dict[str, Provide]:
    """Return what routes get as arguments, by the names of those."""
    api = JobApi(
        jobs=components.jobs,
        control=components.control,
        verifier=components.verifier,
        base_path=settings.base_path,
    )
    return {
        "api": _provide(api),
        "events": _provide(components.events),
        "uploads": _provide(components.uploads),
        "readiness": _provide(components.readiness),
    }


def _pages(settings: Settings) -> Pages:
    if not settings.ui:
        return Pages(base_path=settings.base_path)
    from proxy.app.ui_wiring import ASSETS, NAVIGATION  # noqa: PLC0415 - see `routes`

    return Pages(base_path=settings.base_path, asset_folders=("pages/assets", ASSETS), navigation=NAVIGATION)


def api_document(components: Components, settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document of a service, as JSON has it."""
    document: dict[str, Any] = routes(components, settings).state.document()
    return document


def _described(components: Components, settings: Settings) -> DescribedService:
    return DescribedService(
        sizes=components.recipe.all_names,
        layout=components.recipe.layout,
        has_files=_has_files(settings),
        is_folder=settings.store.startswith(FOLDER),
        is_streaming=settings.delivery == STREAM,
        is_open=components.verifier.is_open,
        base_path=settings.base_path,
    )


def _version_1(components: Components, settings: Settings) -> Router:
    """Return the routes below `/v1`, which refuse unknown query parameters."""
    return Router(
        "/",
        guards=[refuse_unknown_parameters],
        route_handlers=[
            purge_route(
                components.derivatives,
                verifier=components.verifier,
                handled=components.handled,
                base_path=settings.base_path,
            ),
            facts_route(components.facts, verifier=components.verifier, base_path=settings.base_path),
            pictures_route(
                components.pictures,
                has_cors=bool(settings.cors_origins),
                take_down=takedown_app(
                    components.takedowns, verifier=components.verifier, base_path=settings.base_path
                ),
            ),
            jobs_options,
            post_job,
            list_jobs,
            get_job,
            replay_job,
            replay_jobs,
            cancel_job,
            get_queue,
            pause_queue,
            resume_queue,
            post_events,
            post_upload,
            put_upload,
        ],
    )


def _fallback(settings: Settings) -> FallbackImage | None:
    return FallbackImage.read(Path(settings.fallback_image)) if settings.fallback_image else None


def _redirects(settings: Settings) -> Redirects:
    return Redirects(addresses=public_addresses(settings), max_age_seconds=settings.redirect_max_age)


def _provide(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
