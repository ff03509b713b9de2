"""`gf-images jobs`: lists, shows, replays and cancels the jobs of a running service, and pauses its queue."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import click
import msgspec

from proxy.cli.console import REFUSED
from proxy.cli.remote.job_tables import print_job, print_jobs, print_queue
from proxy.cli.remote.service_options import client_of, json_option, service_options
from proxy.cli.usage import OrderedGroup, WholeNumber
from proxy.http.query import AGE, MAX_LISTED, UNIT_SECONDS
from proxy.http.routes.operations import QueueState
from proxy.jobs.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TextIO

    from proxy.cli.remote.service_client import ServiceClient
    from proxy.cli.remote.service_options import Command

AGE_PATTERN = re.compile(AGE)

ENDED = ("done", "error")
STATUSES = ("queued", "processing", "done", "error")


class _Page(msgspec.Struct):
    """A page of jobs as the service sent them, and the address of the next one."""

    jobs: list[msgspec.Raw]
    next: str | None
    complete: bool


class Age(click.ParamType[str]):
    """An age such as `90s`, `15m`, `2h` or `7d`."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the age as the service parses it."""
        text = str(value)
        if not AGE_PATTERN.fullmatch(text):
            self.fail(f"{text!r} is not a number and a unit, such as 90s, 15m, 2h or 7d.", param, ctx)
        return text


def _check_ages(selection: Mapping[str, str | None]) -> None:
    """Refuse ages that no job can have.

    Raises:
        UsageError: the lowest age is above the highest.
    """
    older, newer = selection["older_than"], selection["newer_than"]
    if older and newer and _seconds(older) > _seconds(newer):
        raise click.UsageError(
            f"--older-than {older} and --newer-than {newer} select no job: an age cannot be above {older} and below "
            f"{newer}. Exchange the two ages, or remove one of them."
        )


def _seconds(age: str) -> int:
    return int(age[:-1]) * UNIT_SECONDS[age[-1]]


def selection_options(command: Command) -> Command:
    """Add the options that select jobs."""
    options: tuple[Callable[[Command], Command], ...] = (
        click.option("--key", default="", help="Only jobs of this original."),
        click.option("--code", default="", help="Only jobs that ended with this error code, or wait because of it."),
        click.option("--older-than", type=Age(), default=None, help="Only jobs queued at least that long ago."),
        click.option("--newer-than", type=Age(), default=None, help="Only jobs queued at most that long ago."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=OrderedGroup)
def jobs() -> None:
    """List, show, replay and cancel the jobs of a running service.

    It also pauses and resumes the queue. The service is that of --url, SERVICE_URL, or HOST and PORT. Requests are
    signed with the first secret of WEBHOOK_SECRETS or --secret-file.

    Exit codes of every command: 0, done; 1, the service cannot be reached, or refused something; 2, usage error.

    Example: SERVICE_URL=https://images.example.org gf-images jobs list --status error
    """


@jobs.command("list")
@service_options
@json_option
@selection_options
@click.option("--status", type=click.Choice(STATUSES), default=None, help="Only jobs with this status.")
@click.option("--limit", type=WholeNumber(1), default=50, show_default=True, help="Maximum number of jobs.")
def list_jobs(*, url: str, secret_file: TextIO | None, as_json: bool, limit: int, **selection: str) -> None:
    """List jobs, newest first, and the state of the queue.

    Example: gf-images jobs list --status error --newer-than 2h
    """
    _check_ages(selection)
    with client_of(url, secret_file) as client:
        found: list[Job] = []
        for raw in _walk(client, selection, limit=limit):
            if as_json:
                click.echo(bytes(raw))
            else:
                found.append(msgspec.json.decode(raw, type=Job))
        if not as_json:
            print_jobs(found)
            print_queue(client.get("/v1/queue", QueueState))


@jobs.command()
@service_options
@json_option
@click.argument("ids", nargs=-1, required=True)
def show(*, url: str, secret_file: TextIO | None, as_json: bool, ids: tuple[str, ...]) -> None:
    """Show every field of jobs.

    Example: gf-images jobs show 92ee5c5c9429fb715999cd5abe8626f8
    """
    with client_of(url, secret_file) as client:
        _each(ids, lambda job_id: client.get(_path(job_id), msgspec.Raw), as_json=as_json)


@jobs.command()
@service_options
@json_option
@selection_options
@click.option("--status", type=click.Choice(ENDED), default=None, help="Jobs that ended so; default: error.")
@click.option("--all", "every", is_flag=True, help="All failed jobs, if no other option selects some.")
@click.argument("ids", nargs=-1)
def replay(
    *,
    url: str,
    secret_file: TextIO | None,
    as_json: bool,
    every: bool,
    ids: tuple[str, ...],
    **selection: str,
) -> None:
    """Run ended jobs again: those given, or all that options select.

    Without --status, options select jobs that failed. Cancelled jobs are left out, unless --code cancelled selects
    them. If the queue becomes full, the command ends with 1; repeat it later.

    Example: gf-images jobs replay --code store-refused --newer-than 1d
    """
    is_selective = any(selection.values())
    if ids and (is_selective or every):
        raise click.UsageError(
            "Ids and options that select jobs contradict each other. Remove the ids, or the options, --all included."
        )
    if not (ids or is_selective or every):
        raise click.UsageError(
            "No job is selected. Give the ids of jobs, options that select jobs (such as --code), or --all for all "
            "that failed."
        )
    _check_ages(selection)
    with client_of(url, secret_file) as client:
        if ids:
            _each(ids, lambda job_id: client.send("POST", _path(job_id, "replay"), msgspec.Raw), as_json=as_json)
        else:
            _replay_selected(client, selection, as_json=as_json)


@jobs.command()
@service_options
@json_option
@click.argument("ids", nargs=-1, required=True)
def cancel(*, url: str, secret_file: TextIO | None, as_json: bool, ids: tuple[str, ...]) -> None:
    """Cancel jobs that wait or run.

    A waiting job ends at once, a running one within seconds. A job that has ended cannot be cancelled; the command then
    ends with 1.

    Example: gf-images jobs cancel 92ee5c5c9429fb715999cd5abe8626f8
    """
    with client_of(url, secret_file) as client:
        _each(ids, lambda job_id: client.send("POST", _path(job_id, "cancel"), msgspec.Raw), as_json=as_json)


@jobs.command()
@service_options
@json_option
def pause(*, url: str, secret_file: TextIO | None, as_json: bool) -> None:
    """Pause the queue.

    No worker on any machine starts a job until the queue is resumed. Running jobs continue, and jobs are accepted. The
    pause survives restarts.

    Example: gf-images jobs pause
    """
    _change_queue(url, secret_file, "pause", as_json=as_json)


@jobs.command()
@service_options
@json_option
def resume(*, url: str, secret_file: TextIO | None, as_json: bool) -> None:
    """Resume a paused queue.

    Example: gf-images jobs resume
    """
    _change_queue(url, secret_file, "resume", as_json=as_json)


def _change_queue(url: str, secret_file: TextIO | None, change: str, *, as_json: bool) -> None:
    with client_of(url, secret_file) as client:
        raw = client.send("POST", f"/v1/queue/{change}", msgspec.Raw)
    if as_json:
        click.echo(bytes(raw))
    else:
        print_queue(msgspec.json.decode(raw, type=QueueState))


def _walk(client: ServiceClient, selection: dict[str, str], *, limit: int) -> Iterator[msgspec.Raw]:
    """Yield up to `limit` jobs, page by page; warn if the service could not read all of them."""
    cursor: str | None = None
    while limit > 0:
        asked = {**selection, "limit": min(limit, MAX_LISTED), "cursor": cursor}
        page = client.get("/v1/jobs", _Page, asked)
        yield from page.jobs
        limit -= len(page.jobs)
        if not page.complete:
            click.echo("warning: the queue has too many jobs to read them all; some may be missing", err=True)
        if (cursor := _cursor(page)) is None:
            return


def _replay_selected(client: ServiceClient, selection: dict[str, str], *, as_json: bool) -> None:
    cursor, total = None, 0
    while True:
        try:
            asked = {**selection, "limit": MAX_LISTED, "cursor": cursor}
            page = client.send("POST", "/v1/jobs/replay", _Page, asked)
        except click.ClickException:
            click.echo(f"Jobs that run again, before an error: {total}", err=True)
            raise
        total += len(page.jobs)
        for raw in page.jobs:
            click.echo(bytes(raw) if as_json else msgspec.json.decode(raw, type=Job).id)
        if (cursor := _cursor(page)) is None:
            break
    click.echo(f"Jobs that run again: {total}", err=True)


def _each(ids: tuple[str, ...], request: Callable[[str], msgspec.Raw], *, as_json: bool) -> None:
    """Send a request for each job and print the job; exit with 1 in the end if one failed."""
    has_failed = False
    for job_id in ids:
        try:
            raw = request(job_id)
        except click.ClickException as fault:
            click.echo(f"{job_id}: {fault.format_message()}", err=True)
            has_failed = True
            continue
        if as_json:
            click.echo(bytes(raw))
        else:
            print_job(msgspec.json.decode(raw, type=Job))
    if has_failed:
        sys.exit(REFUSED)


def _path(job_id: str, action: str = "") -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}{'/' if action else ''}{action}"


def _cursor(page: _Page) -> str | None:
    """Return the cursor of the next page; only that part of its address does not depend on proxies."""
    query = parse_qs(urlsplit(page.next).query) if page.next else {}
    return next(iter(query.get("cursor", ())), None)
