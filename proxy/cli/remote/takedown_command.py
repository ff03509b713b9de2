"""`gf-images takedown`: takes pictures down at a running service."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click
import msgspec

from proxy.cli.console import REFUSED, ParsedOption
from proxy.cli.remote.job_tables import print_job
from proxy.cli.remote.service_options import client_of, json_option, service_options
from proxy.cli.usage import Number, StrictCommand
from proxy.errors import BadKey
from proxy.jobs.job import Job
from proxy.keys.syntax import check_key
from proxy.keys.syntax import url as url_of

if TYPE_CHECKING:
    from typing import TextIO

    from proxy.cli.remote.service_client import ServiceClient

LOOK_SECONDS = 1.0
"""How often a takedown is read until it has ended."""


def _parse_key(text: str) -> str:
    try:
        check_key(text)
    except BadKey as fault:
        raise ValueError(f"{fault} Name the key of an original, as the store has it.") from fault
    return text


@click.command(cls=StrictCommand)
@service_options
@json_option
@click.option("--callback-url", default="", help="Receives the receipt; its host must be in CALLBACK_HOSTS.")
@click.option("--wait", "wait_seconds", type=Number(0), default=0.0, help="Wait for the end, in seconds.")
@click.argument("keys", nargs=-1, required=True, type=ParsedOption("key", _parse_key))
def takedown(
    *,
    url: str,
    secret_file: TextIO | None,
    as_json: bool,
    callback_url: str,
    wait_seconds: float,
    keys: tuple[str, ...],
) -> None:
    """Take pictures down: originals, derivatives, copies of the CDN.

    Every version of an original is removed. KEYS are the keys of the originals. A takedown ends once the public
    addresses do not serve the picture any longer. Nothing brings it back, until a later signed post or upload.

    Exit codes: 0, accepted, or with --wait done; 1, refused, or with --wait not done by then; 2, usage error.

    Example: gf-images takedown gall/58/58_1586986467_original.jpg --wait 120
    """
    has_failed = False
    deadline = time.monotonic() + wait_seconds
    with client_of(url, secret_file) as client:
        raws = []
        for key in keys:
            try:
                parameters = {"callback_url": callback_url}
                raws.append(client.send("DELETE", url_of("/v1/images", key), msgspec.Raw, parameters))
            except click.ClickException as fault:
                click.echo(f"{key}: {fault.format_message()}", err=True)
                has_failed = True
        for raw in raws:
            ended = _ended(client, raw, deadline) if wait_seconds else raw
            job = msgspec.json.decode(ended, type=Job)
            has_failed = has_failed or (bool(wait_seconds) and job.status != "done")
            if as_json:
                click.echo(bytes(ended))
            else:
                print_job(job)
    if has_failed:
        sys.exit(REFUSED)


def _ended(client: ServiceClient, raw: msgspec.Raw, deadline: float) -> msgspec.Raw:
    """Return a job once it has ended, or as it is at the deadline (monotonic seconds)."""
    while (job := msgspec.json.decode(raw, type=Job)).finished_at is None and time.monotonic() < deadline:
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
        raw = client.get(f"/v1/jobs/{job.id}", msgspec.Raw)
    return raw
