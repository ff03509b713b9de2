"""The originals of a load test: painted and uploaded, or those that the service already has."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import click
import httpx
import msgspec

from loadtest.paint import Photograph, paint
from loadtest.servers.service import order, signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from loadtest.servers.stores import Store

DONE_SECONDS = 120.0
LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Target:
    """The service under load, and its secret."""

    url: str
    secret: str
    origin: str = ""
    """The origin that requests without a body sign: its `PUBLIC_ORIGIN`, if that is set."""

    def signed(self, method: str, address: str) -> dict[str, str]:
        """Return the headers that sign a request without a body."""
        return signed(f"{method} {self.origin}{address}".encode(), secret=self.secret)

    def purge(self, client: httpx.Client, key: str) -> None:
        """Delete the derivatives of an original."""
        address = f"/v1/derivatives/{quote(key)}"
        client.delete(address, headers=self.signed("DELETE", address)).raise_for_status()

    def client(self) -> httpx.Client:
        """Return an HTTP client for the service."""
        return httpx.Client(base_url=self.url, timeout=60)


def reach(target: Target) -> None:
    """Return if the service responds.

    Raises:
        click.UsageError: it does not.
    """
    try:
        with target.client() as client:
            client.get("/healthz").raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        raise click.UsageError(f"no service answers at {target.url}: {fault}") from fault


def painted(folder: Path, megapixels: float) -> Path:
    """Paint a noisy photograph of so many megapixels, as cameras save them: a baseline JPEG, 3:2."""
    photo = folder / f"{megapixels:g}mp.jpg"
    width = round((megapixels * 1_500_000) ** 0.5)
    paint(photo, Photograph(width=width, height=round(width / 1.5), noise=8), Q=88)
    return photo


def named(count: int) -> list[str]:
    """Return new keys, under which nothing exists."""
    now = int(time.time() * 1000)
    return [f"gall/loadtest-{now}/{number}_{now}_original.jpg" for number in range(count)]


def take_away(target: Target, store: Store, keys: Iterable[str]) -> None:
    """Delete originals and, as far as the service responds, their derivatives."""
    with target.client() as client:
        for key in keys:
            with contextlib.suppress(httpx.HTTPError):
                target.purge(client, key)
            store.delete(key)


class _Listed(msgspec.Struct):
    key: str


class _Page(msgspec.Struct):
    jobs: list[_Listed]
    next: str | None


def found(target: Target, *, count: int) -> list[str]:
    """Return at most `count` keys of originals whose jobs the service lists as done.

    Raises:
        click.ClickException: the service does not list its jobs.
    """
    keys: dict[str, None] = {}
    address: str | None = "/v1/jobs?status=done&limit=100"
    with target.client() as client:
        while address and len(keys) < count:
            answer = client.get(address, headers=target.signed("GET", address))
            if not answer.is_success:
                raise click.ClickException(f"the service does not list its jobs: {answer.text}")
            page = msgspec.json.decode(answer.content, type=_Page)
            keys |= dict.fromkeys(job.key for job in page.jobs)
            address = page.next
    return [*keys][:count]


class _Made(msgspec.Struct):
    size: str


class _Job(msgspec.Struct):
    status: str
    derivatives: list[_Made]


def warmed(target: Target, keys: Sequence[str]) -> tuple[str, ...]:
    """Generate every derivative of these originals, with a job each, and return the names of the sizes.

    Raises:
        click.ClickException: a job was refused, failed, or was not done within `DONE_SECONDS`.
    """
    sizes: tuple[str, ...] = ()
    with target.client() as client:
        for key in keys:
            body = order(key)
            posted = client.post("/v1/jobs", content=body, headers=signed(body, secret=target.secret))
            if posted.status_code != httpx.codes.ACCEPTED:
                raise click.ClickException(f"a job for {key} was not taken: {posted.text}")
            sizes = tuple(made.size for made in _done(client, posted.headers["location"]).derivatives)
    return sizes


def _done(client: httpx.Client, location: str) -> _Job:
    deadline = time.monotonic() + DONE_SECONDS
    while time.monotonic() < deadline:
        answer = client.get(location)
        job = msgspec.json.decode(answer.content, type=_Job)
        if job.status == "done":
            return job
        if job.status == "error":
            raise click.ClickException(f"a job failed before anything was measured: {answer.text}")
        time.sleep(LOOK_EVERY_SECONDS)
    raise click.ClickException(f"a job did not end within {DONE_SECONDS:g} s: nothing was measured")
