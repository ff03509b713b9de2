"""`gf-images smoke`: one original through a running service, from the order to the purge."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.markup import escape

from proxy.app.key_layouts import originals_prefixes
from proxy.app.wiring import store_config
from proxy.cli.console import REFUSED, ParsedOption, env_file_option, exit_without_store, read_settings_or_exit
from proxy.cli.remote.callback_listener import listening_for_callbacks
from proxy.cli.remote.service_options import SERVICE_URL, client_of, json_option
from proxy.cli.remote.smoke_run import SampleStore, SmokeRun, Step, StepFailed
from proxy.cli.tables import new_table, print_tables
from proxy.cli.usage import TERMINATED, Number, StrictCommand, require
from proxy.observability.logging import configure_logs
from proxy.settings.validators import HIGHEST_PORT, split
from proxy.stores.base import Attributes
from proxy.stores.factory import open_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from typing import TextIO

    from rich.table import Table

    from proxy.cli.remote.callback_listener import CallbackListener
    from proxy.cli.remote.service_client import ServiceClient
    from proxy.settings.settings import Settings
    from proxy.stores.base import Store

PAINT_SECONDS = 60
"""How long painting the sample may take; it takes less than a second."""


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) <= HIGHEST_PORT:
        raise ValueError(f"{text!r} must be an address and a port, such as 127.0.0.1:9099.")
    return host, int(port)


@click.command(cls=StrictCommand)
@click.argument("url", required=False, default="", type=SERVICE_URL)
@click.option(
    "--secret-file",
    type=click.File(),
    help="File with the secret that signs requests, or - for standard input; default: WEBHOOK_SECRETS.",
)
@click.option("--key", default="", help="Use this existing original, and keep it; default: put a sample into STORE.")
@click.option(
    "--listen",
    type=ParsedOption("address:port", _host_and_port),
    default=None,
    help="Receive the callback at this address; without it, none is asked for.",
)
@click.option(
    "--callback-url", default="", help="URL at which the service reaches --listen; default: http://<listen>/."
)
@click.option("--timeout", "seconds", type=Number(1), default=60.0, show_default=True, help="Wait so many seconds.")
@json_option
@env_file_option
def smoke(
    *,
    url: str,
    secret_file: TextIO | None,
    key: str,
    listen: tuple[str, int] | None,
    callback_url: str,
    seconds: float,
    as_json: bool,
) -> None:
    """Try a running service: a job, page views, a purge.

    The steps are a job, its callback, page views, no position in any derivative, and a purge. URL is that of the
    service; without it, SERVICE_URL, else HOST and PORT. The sample is a photograph with a position in its metadata. It
    is put into the STORE of these settings, so they must be those of the service. With --key, nothing is put there; the
    derivatives of that original are purged, and rendered again by a page view. CALLBACK_HOSTS of the service must list
    the host of the callback.

    Everything that was made is removed, also after a failure.

    Exit codes: 0, every step succeeded; 1, a step failed; 2, usage error.

    Example: gf-images smoke http://127.0.0.1:8080 --listen 127.0.0.1:9099
    """
    require("listen", "callback_url", why="nothing would receive the callback")
    settings = read_settings_or_exit(accepts_jobs=False)
    configure_logs(level="ERROR", form="console")
    client = client_of(url, secret_file, settings)
    if not key:
        exit_without_store(settings, also="; or name an existing original with --key")
    signal.signal(signal.SIGTERM, _terminate)
    table = new_table("step", "result", "s", "detail")
    original = key or f"{originals_prefixes(settings)[0]}smoke/{secrets.token_hex(8)}_original.jpg"
    listening = _listening(listen, secrets=_callback_secrets(settings, client))
    with client, listening as listener, tempfile.TemporaryDirectory() as folder:
        run = SmokeRun(
            client=client,
            key=original,
            sample=None if key else _sample(settings, original, Path(folder, "sample.jpg")),
            listener=listener,
            callback_url=callback_url or _local_url(listen),
            seconds=seconds,
            report=lambda step: _report(step, table, as_json=as_json),
        )
        try:
            is_ok = run.run()
        finally:  # also after a signal
            if not as_json:
                print_tables(table)
    sys.exit(0 if is_ok else REFUSED)


def _report(step: Step, table: Table, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(step))
    else:
        table.add_row(step.step, step.outcome, f"{step.seconds:.2f}", escape(step.detail))


@contextlib.contextmanager
def _listening(listen: tuple[str, int] | None, *, secrets: Sequence[str]) -> Iterator[CallbackListener | None]:
    if listen is None:
        yield None
        return
    host, port = listen
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(listening_for_callbacks(host, port, secrets=secrets))
        except OSError as fault:
            raise click.UsageError(f"--listen: {host}:{port} cannot be used ({fault.strerror}).") from fault
        yield listener


def _callback_secrets(settings: Settings, client: ServiceClient) -> Sequence[str]:
    """Return the secrets with which the service may have signed a callback."""
    own = split(settings.callback_secrets)
    return own or [one for one in (client.secret,) if one]


def _local_url(listen: tuple[str, int] | None) -> str:
    if listen is None:
        return ""
    host, port = listen
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _sample(settings: Settings, key: str, path: Path) -> SampleStore:
    """Return how a sample photograph is put under `key` into the store of these settings, and removed."""

    async def put(store: Store) -> None:
        _paint(path)
        await store.put(key, path, Attributes(content_type="image/jpeg"))

    async def remove(store: Store) -> None:
        await store.delete(key)

    return SampleStore(
        put=lambda: asyncio.run(_with_store(settings, put)), remove=lambda: asyncio.run(_with_store(settings, remove))
    )


async def _with_store(settings: Settings, use: Callable[[Store], Awaitable[None]]) -> None:
    store = open_store(store_config(settings))
    await store.start()
    try:
        await use(store)
    finally:
        await store.close()


def _paint(path: Path) -> None:
    """Paint the sample in a process of its own, because this package never loads libvips."""
    command = [sys.executable, "-m", "pipeline.image.sample", str(path)]
    try:
        subprocess.run(command, check=True, timeout=PAINT_SECONDS)  # noqa: S603 - a module and a path of ours
    except subprocess.SubprocessError as fault:
        raise StepFailed(f"The sample cannot be painted: {fault}.") from fault


def _terminate(_signum: int, _frame: object) -> None:
    """Leave the command by an exception, so that it removes what it made."""
    sys.exit(TERMINATED)
