"""`gf-images`: the service and its tools on the command line."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import uvicorn
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.wire import Limits
from proxy.addresses import without_passwords
from proxy.app import create_app, routes, running
from proxy.cli_compare import compare
from proxy.cli_promote import promote
from proxy.cli_reprocess import reprocess
from proxy.errors import ImagesError
from proxy.exits import REFUSED, WRONG_WORDS, faults_shown, settings_or_end
from proxy.hints import what_to_try
from proxy.observability.exposition import listening
from proxy.observability.logging import configure_logs
from proxy.parts import build
from proxy.rendering import local
from proxy.rendering.budget import render_budget
from proxy.settings import Setting, Settings, told_by_environment
from proxy.sizes import read_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from pipeline.size import Size
    from proxy.parts import Parts

WIDE = 500
"""Columns of a table that no person looks at: nothing is cut off."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gallformers-images", prog_name="gf-images")
def main() -> None:
    """Strip photographs' metadata and render their sizes: eagerly by webhook, lazily on the first page view."""


main.add_command(promote)
main.add_command(reprocess)
main.add_command(compare)


@main.command()
@click.option("--hints", is_flag=True, help="Print what to try first.")
def serve(*, hints: bool) -> None:
    """Run the service: HTTP, the queue's workers unless WORKERS=0, the render processes.

    Example: PORT=8080 STORE=file:///srv/images gf-images serve
    """
    settings = settings_or_end()
    configure_logs(level=settings.log_level, form=settings.log_format)
    if hints:
        click.echo(what_to_try(settings))
    _run(_serve, settings)


@main.command()
def worker() -> None:
    """Work jobs beside a service or on another machine: its QUEUE, its STORE, no HTTP.

    Example: QUEUE=redis://queue.internal STORE=s3://images PUBLIC_BASE_URL=https://images.test gf-images worker
    """
    settings = settings_or_end(takes_posts=False)
    configure_logs(level=settings.log_level, form=settings.log_format)
    if not settings.workers:
        click.echo("WORKERS: must be at least 1, because working jobs is all that a worker does", err=True)
        sys.exit(WRONG_WORDS)
    _run(_work, settings)


def _run(program: Callable[[Parts, Settings], Coroutine[object, object, None]], settings: Settings) -> None:
    """Run a program until it is asked to stop; end the command with the sentence of what keeps it from starting."""

    async def run() -> None:
        parts = build(settings)
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, parts.drain)
        await program(parts, settings)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except ImagesError as fault:
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)


async def _work(parts: Parts, settings: Settings) -> None:
    async with running(parts, settings):
        await parts.draining.wait()


async def _serve(parts: Parts, settings: Settings) -> None:
    server = Server(
        uvicorn.Config(
            create_app(parts, settings),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",  # there are no WebSockets here, and a library for them, where there is one, logs whole addresses
            timeout_graceful_shutdown=round(settings.grace_seconds),
        )
    )
    with listening(host=settings.host, port=settings.port) as socket:
        async with running(parts, settings), asyncio.TaskGroup() as tasks:
            gc.freeze()  # all that was made so far stays: to look through it for garbage would hold everybody up 60 ms
            leaving = tasks.create_task(server.leave_when(parts.draining))
            await server.serve(sockets=[socket])
            leaving.cancel()


class Server(uvicorn.Server):
    """A server that leaves signals to us: one ends everything at once, not HTTP first and the jobs after."""

    async def leave_when(self, draining: asyncio.Event) -> None:
        """Answer what is being asked, then end, once the event is set."""
        await draining.wait()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, resolve_path=True))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Folder for the results.",
)
@click.option("--sizes-file", type=click.Path(path_type=Path), help="Other sizes than those of SIZES_FILE.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a file instead of a table.")
def render(files: tuple[Path, ...], *, out: Path, sizes_file: Path | None, as_json: bool) -> None:
    """Render local files through the same render process as the service.

    Example: gf-images render photo.jpg --out derivatives/
    """
    settings = settings_or_end(takes_posts=False)
    configure_logs(level="ERROR", form="console")
    with faults_shown("--sizes-file: "):
        sizes = read_sizes(sizes_file) if sizes_file else settings.sizes
    if clash := local.clash(files, out=out, sizes=sizes):
        raise click.UsageError(_readable(clash))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise click.UsageError(f"--out: {_readable(out)} cannot be made ({fault.strerror}).") from fault
    outcomes = asyncio.run(_render_all(files, out=out, sizes=sizes, settings=settings))
    if as_json:
        for outcome in outcomes:
            click.echo(msgspec.json.encode(outcome, enc_hook=_readable))
    else:
        _show(outcomes)
    sys.exit(REFUSED if any(outcome.refusal for outcome in outcomes) else 0)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def check(*, as_json: bool) -> None:
    """Read the settings, name every fault, print what the service would run with; secrets are masked.

    Example: PORT=80 gf-images check
    """
    settings = settings_or_end()
    values = {one.name: _masked(getattr(settings, one.name.lower()), one) for one in told_by_environment()}
    if as_json:
        click.echo(msgspec.json.encode(values))
        return
    for name, value in values.items():
        click.echo(f"{name}={value}")
    for size in settings.sizes:
        click.echo(f"size {size.name}: {size.width} wide, fit {size.fit}")


@main.command("openapi")
def print_openapi() -> None:
    """Print the OpenAPI document.

    Example: gf-images openapi > openapi.json
    """
    settings = settings_or_end(takes_posts=False)
    click.echo(msgspec.json.format(msgspec.json.encode(routes(build(settings), settings).openapi_schema.to_schema())))


def _masked(value: object, setting: Setting) -> object:
    if setting.is_secret and value:
        return "***"
    return without_passwords(value) if isinstance(value, str) else value


async def _render_all(
    files: Sequence[Path], *, out: Path, sizes: Sequence[Size], settings: Settings
) -> list[local.Outcome]:
    limits = Limits(pixels=settings.max_pixels)
    budget_bytes, deadline_seconds = render_budget(settings.memory_budget_mb), settings.render_timeout_seconds
    async with local.local_renderers(budget_bytes=budget_bytes, deadline_seconds=deadline_seconds) as renderers:
        return [await local.render_file(renderers, file, out=out, sizes=sizes, limits=limits) for file in files]


def _show(outcomes: Sequence[local.Outcome]) -> None:
    table = Table("file", "size", "w x h", "bytes", "type", box=None, pad_edge=False)
    for outcome in outcomes:
        for made in outcome.derivatives:
            table.add_row(
                escape(made.path), made.size, f"{made.width} x {made.height}", f"{made.bytes:,}", made.content_type
            )
    if table.row_count:
        Console(width=None if sys.stdout.isatty() else WIDE).print(table)
    for outcome in outcomes:
        if outcome.refusal:
            click.echo(f"{_readable(outcome.file)}: {outcome.refusal}", err=True)


def _readable(path: object) -> str:
    """Write a path as text, whatever bytes a file system lets its name have."""
    return os.fsencode(str(path)).decode(errors="replace")
