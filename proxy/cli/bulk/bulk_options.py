"""Shared parts of the bulk commands: options, settings, signals and exit codes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

import click
import uvloop

from proxy.bulk.options import BadOption, OtherOptions
from proxy.bulk.stop import Stop
from proxy.cli.console import REFUSED, ParsedOption, exit_without_store, names, read_settings_or_exit
from proxy.cli.usage import INTERRUPTED
from proxy.errors import ImagesError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from proxy.settings.settings import Settings

T = TypeVar("T")
Command = TypeVar("Command", bound="Callable[..., object]")

sizes_option = click.option(
    "--sizes", type=ParsedOption("names", names), default="", help="Only these sizes, comma-separated."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON event per line.")


def prefix_option(*, default: str | None = None) -> Callable[[Command], Command]:
    """Return the option --prefix; a `default` of None stands for ORIGINALS_PREFIX."""
    otherwise = "; default: ORIGINALS_PREFIX" if default is None else ""
    return click.option("--prefix", default=default, help=f"Only originals with this key prefix{otherwise}.")


def restart_option(what: str) -> Callable[[Command], Command]:
    """Return the option --restart of a command that resumes."""
    return click.option("--restart", is_flag=True, help=f"Start over instead of continuing an unfinished {what}.")


def read_bulk_settings(sizes: tuple[str, ...], *, needs_store: bool = True) -> Settings:
    """Return the settings; exit with 2 if they are invalid, a size does not exist, or a needed store does not."""
    settings = read_settings_or_exit(accepts_jobs=False)
    known = [size.name for size in settings.sizes]
    if unknown := [size for size in sizes if size not in known]:
        raise click.UsageError(f"--sizes: unknown size {', '.join(unknown)}. Known sizes: {', '.join(known)}.")
    if needs_store:
        exit_without_store(settings)
    return settings


def run_bulk(command: Callable[[Stop], Coroutine[object, object, T]], *, can_abort: bool = True) -> T:
    """Run a command until it is done or a signal stops it; return its result, or exit with the code of its error.

    With `can_abort`, a second signal aborts the originals in progress.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run_until_signal(command, can_abort=can_abort))
    except (BadOption, OtherOptions) as fault:
        raise click.UsageError(str(fault)) from fault
    except ImagesError as fault:
        _discard_output()
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)
    except asyncio.CancelledError:  # by a second signal
        sys.exit(INTERRUPTED)


async def _run_until_signal(command: Callable[[Stop], Coroutine[object, object, T]], *, can_abort: bool) -> T:
    stop, running = Stop(), asyncio.current_task()

    def request_stop(signum: int) -> None:
        if stop.is_requested and can_abort and running:
            running.cancel()
        if signum == signal.SIGINT:
            reason, advice = "Interrupted.", "press Ctrl-C again to stop now"
        else:
            reason, advice = f"Received {signal.Signals(signum).name}.", "a second signal stops now"
        stop.request(reason, advice=advice if can_abort else "")

    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, request_stop, signum)
    return await command(stop)


def _discard_output() -> None:
    """Discard output that cannot be written; otherwise the interpreter retries at exit and exits with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
