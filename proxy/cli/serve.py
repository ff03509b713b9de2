"""`gf-images serve` and `gf-images worker`: the service, run until a signal stops it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import click
import structlog
import uvicorn
import uvloop

from pipeline.heap import release_memory
from proxy.app.asgi import create_app, create_shortcut
from proxy.app.lifecycle import running
from proxy.app.wiring import build
from proxy.cli.console import (
    REFUSED,
    USAGE_ERROR,
    ParsedOption,
    checked,
    env_file_option,
    exit_without_store,
    how_to_call,
    is_default_store,
    read_settings_or_exit,
)
from proxy.cli.usage import StrictCommand, WholeNumber
from proxy.errors import CannotStart, ImagesError
from proxy.http.protocol.connection import BoundedProtocol
from proxy.observability.logging import configure_logs
from proxy.settings import validators
from proxy.settings.contradictions import contradictions
from proxy.settings.env_file import set_variable
from proxy.settings.validators import split
from proxy.system.dumpable import forbid_inspection
from proxy.system.faults import bind_fault
from proxy.system.sockets import listen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from socket import socket

    from proxy.app.wiring import Components
    from proxy.settings.settings import Settings

log = structlog.get_logger(__name__)

HINTS = """
The image service listens on {address}. {pages}Try in another terminal, in this folder:

{upload}
{post}
  curl -i {address}/img/gall/1/1_1_original.jpg/medium

All routes, with a form for each: {address}/schema
All commands: {call} --help
Stop with Ctrl-C.
"""

UNSIGNED_POST = """\
  curl -X POST {address}/v1/jobs -H 'content-type: application/json' -d '{{"key": "gall/1/1_1_original.jpg"}}'\
"""


@click.command(cls=StrictCommand)
@click.option(
    "--host", type=ParsedOption("address", checked(validators.host)), help="Address to listen on; default: HOST."
)
@click.option("--port", type=WholeNumber(1, validators.HIGHEST_PORT), help="Port to listen on; default: PORT.")
@click.option(
    "--store",
    type=ParsedOption("file://folder|s3://bucket", checked(validators.store_fault)),
    help="Where originals and derivatives are stored; default: STORE.",
)
@click.option("--create-store", is_flag=True, help="Create the folder of the store if it does not exist.")
@env_file_option
@click.option("--hints", is_flag=True, help="Print example commands once the service listens; log for people.")
def serve(*, hints: bool, create_store: bool, **options: str | int | None) -> None:
    """Run the service: HTTP, workers and render processes.

    Options have priority over settings, which are environment variables. With WORKERS=0 it runs no workers: run them
    with `gf-images worker`. SIGTERM or Ctrl-C finishes running work and stops it.

    The default store, the folder var/store, is created. Another folder must exist, unless --create-store is given.

    Exit codes: 0, stopped by a signal; 1, it could not start; 2, usage error, or invalid settings; 143, stopped by
    SIGTERM before it had started.

    Example: gf-images serve --port 8080 --store file:///srv/images --env-file .env
    """
    for name, value in options.items():
        if value is not None:
            set_variable(os.environ, name.upper(), str(value))
    settings = _prepare(for_people=hints and sys.stderr.isatty())
    if not create_store and not is_default_store(settings):
        exit_without_store(settings, name="--store" if options["store"] else "STORE", also="; or add --create-store")
    _run(partial(_serve, on_start=lambda: click.echo(what_to_try(settings)) if hints else None), settings)


@click.command(cls=StrictCommand)
@env_file_option
def worker() -> None:
    """Run only the workers of a service, on any machine.

    They need the QUEUE and the STORE of the service; a folder must exist. A worker serves no HTTP except its metrics.
    SIGTERM or Ctrl-C finishes running jobs and stops it.

    Exit codes: 0, stopped by a signal; 1, it could not start; 2, usage error, or invalid settings; 143, stopped by
    SIGTERM before it had started.

    Example: QUEUE=redis://queue.internal STORE=s3://images PUBLIC_BASE_URL=https://images.test gf-images worker
    """
    settings = _prepare(accepts_jobs=False)
    if not settings.workers:
        click.echo("WORKERS: must be at least 1 for a worker, which only runs jobs", err=True)
        sys.exit(USAGE_ERROR)
    exit_without_store(settings)
    _run(_work, settings)


def _prepare(*, accepts_jobs: bool = True, for_people: bool = False) -> Settings:
    """Protect the secrets of this process, read the settings, and log what contradicts them.

    With `for_people`, the log is the console's unless LOG_FORMAT is set.
    """
    forbid_inspection()
    settings = read_settings_or_exit(accepts_jobs=accepts_jobs)
    is_chosen = not {"LOG_FORMAT", "LOG_FORMAT_FILE"}.isdisjoint(os.environ)
    form = "console" if for_people and not is_chosen else settings.log_format
    configure_logs(level=settings.log_level, form=form)
    for sentence in contradictions(settings, os.environ):
        log.warning("settings_contradict", detail=sentence)
    return settings


def _run(program: Callable[[Components, Settings], Coroutine[object, object, None]], settings: Settings) -> None:
    """Run a program until a signal stops it; print its error and exit with 1 if it cannot start."""

    async def run() -> None:
        components = build(settings)
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, components.drain)
        await program(components, settings)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except ImagesError as fault:
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)


async def _work(components: Components, settings: Settings) -> None:
    async with running(components, settings):
        _settle_memory()
        await components.draining.wait()


def _settle_memory() -> None:
    """Return what the start has left over to the system, and treat all objects so far as permanent.

    To collect them again would block all requests for 60 ms.
    """
    gc.collect()
    release_memory()
    gc.freeze()


async def _serve(components: Components, settings: Settings, *, on_start: Callable[[], object]) -> None:
    server = Server(
        uvicorn.Config(
            create_app(components, settings),
            http=partial(BoundedProtocol, components.connections, create_shortcut(components, settings)),  # type: ignore[arg-type] # called as the class would be
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # the middleware sets it
            ws="none",  # the service has no WebSockets, and an installed library for them would log whole URLs
            timeout_graceful_shutdown=round(settings.grace_seconds),
        )
    )
    with listening(host=settings.host, port=settings.port) as socket:
        async with running(components, settings), asyncio.TaskGroup() as tasks:
            _settle_memory()
            leaving = tasks.create_task(server.leave_when(components.draining))
            on_start()
            await server.serve(sockets=[socket])
            leaving.cancel()


class Server(uvicorn.Server):
    """A server without signal handlers: a signal stops HTTP and jobs at once, not HTTP first."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaves = asyncio.Event()

    async def leave_when(self, draining: asyncio.Event) -> None:
        """Wait for the event, then finish the open requests and exit."""
        await draining.wait()
        self.leave()

    def leave(self) -> None:
        """Finish the open requests and exit."""
        self.should_exit = True
        self._leaves.set()

    async def main_loop(self) -> None:
        """Wait until it is to exit; uvicorn's own wakes up ten times a second, for limits that are not set here."""
        await self._leaves.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield


@contextlib.contextmanager
def listening(*, host: str, port: int) -> Iterator[socket]:
    """Yield the open port; before anything is started, so that a second service fails immediately.

    Raises:
        CannotStart: another process uses the port, or HOST is not an address of this machine.
    """
    try:
        held = listen(host, port)
    except OSError as fault:
        raise CannotStart(bind_fault(fault, host=host, port=port, setting="PORT")) from fault
    with held:
        log.info("listening", host=host, port=port)
        yield held


def what_to_try(settings: Settings) -> str:
    """Return the commands that process a first original, with the address and store of this service."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{settings.port}"
    post = "  # POST /v1/jobs must be signed, because WEBHOOK_SECRETS is set; the page view below needs no job."
    if not split(settings.webhook_secrets):
        post = UNSIGNED_POST.format(address=address)
    pages = f"Open {address}{settings.base_path}/ in a browser to drop photographs.\n" if settings.ui else ""
    return HINTS.format(address=address, pages=pages, upload=_upload(settings), post=post, call=how_to_call())


def _upload(settings: Settings) -> str:
    """Return the commands that put an original into the store."""
    if settings.store.startswith("s3://"):
        endpoint = f" --endpoint-url {settings.s3_endpoint_url}" if settings.s3_endpoint_url else ""
        return f"  aws s3 cp photo.jpg {settings.store}/gall/1/1_1_original.jpg{endpoint}"
    folder = settings.store.removeprefix("file://")
    return f"  mkdir -p {folder}/gall/1\n  cp photo.jpg {folder}/gall/1/1_1_original.jpg"
