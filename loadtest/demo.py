"""Takes one photograph through a job and a page view, on a service of its own: `make demo [PHOTO=path]`."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import click
import httpx
import msgspec
import pyvips
from rich.console import Console
from rich.table import Table

from loadtest.demo_page import write_page
from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.service import Service, on_bucket, order, running, signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Derivative(msgspec.Struct):
    """A derivative in the response for a job."""

    size: str
    key: str
    width: int
    height: int
    bytes: int


class Job(msgspec.Struct):
    """The response for a job."""

    id: str
    status: str
    attempts: int
    derivatives: list[Derivative]
    error: dict[str, str] | None


EAGER = ("small", "medium", "large")
LAZY = "xlarge"
JOB_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a derivative, how it was generated, and how long that took for the client."""

    size: str
    key: str
    how: str
    width: int
    height: int
    bytes: int
    milliseconds: float


@click.command()
@click.option(
    "--photo", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Yours; else one is painted."
)
@click.option("--store", type=click.Choice(["files", "s3"]), default="files", help="A folder, or a real SeaweedFS.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="var/demo",
    show_default=True,
    help="Folder for the pictures and a page that shows them.",
)
def main(photo: Path | None, *, store: str, out: Path) -> None:
    """Start a service, store a photograph, post a job, and fetch one more size on demand.

    The results are printed, and stay as pictures and a page.
    """
    with tempfile.TemporaryDirectory(prefix="gf-images-demo-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        service = stack.enter_context(running(folder) if store == "files" else _running_on_bucket(folder))
        photo = photo or _painted(folder)
        key = show_main_job(service, photo)
        pictures = {size: _fetched(service, key, size) for size in (*EAGER, LAZY)}
        page = write_page(out, photo, pictures)
    click.echo(f"\nThe pictures are in {page.parent}. Open this page in a browser:\n  {page.as_uri()}")


def show_main_job(service: Service, photo: Path | None = None) -> str:
    """Store a photograph, or a painted one, in a running service, generate its sizes, and print the results.

    Returns the key of the original.
    """
    photo = photo or _painted(service.folder)
    key = store_original(service, photo)
    _show(f"{key} ({photo.stat().st_size:,} bytes)", [*eager(service, key), lazy(service, key)])
    return key


def _fetched(service: Service, key: str, size: str) -> tuple[bytes, str]:
    """Return the bytes and the content type of a derivative."""
    answer = httpx.get(f"{service.url}/img/{quote(key)}/{size}", follow_redirects=True, timeout=60)
    if not answer.is_success:
        raise click.ClickException(f"{size} could not be fetched: {answer.text}")
    return answer.content, answer.headers["content-type"]


@contextlib.contextmanager
def _running_on_bucket(folder: Path) -> Iterator[Service]:
    (folder / "weed").mkdir()
    with seaweed.running(folder / "weed") as weed, running(folder, weed=weed, **on_bucket(weed, seaweed.ADMIN)) as one:
        yield one


def _painted(folder: Path) -> Path:
    photo = folder / "painted.jpg"
    paint(photo, Photograph(width=4000, height=3000, orientation=6, gps=True, noise=8))
    return photo


def _show(title: str, rows: Sequence[Row]) -> None:
    table = Table("size", "how", "key", "w x h", "bytes", "ms", title=title)
    for row in rows:
        table.add_row(
            row.size, row.how, row.key, f"{row.width} x {row.height}", f"{row.bytes:,}", f"{row.milliseconds:,.0f}"
        )
    Console(width=140).print(table)


def store_original(service: Service, photo: Path) -> str:
    """Put the original where a site's upload would, and return its key."""
    key = f"gall/58/58_{int(time.time() * 1000)}_original{photo.suffix}"
    service.put(key, photo)
    return key


def eager(service: Service, key: str) -> list[Row]:
    """Post a signed job for all sizes but one, wait until it has ended, and return a row per derivative.

    Raises:
        click.ClickException: the job was refused, failed, or did not end in time.
    """
    body = order(key, *EAGER)
    started = time.perf_counter()
    posted = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body))
    if posted.status_code != httpx.codes.ACCEPTED:
        raise click.ClickException(f"the job was not taken: {posted.text}")
    job = ended(service, posted.headers["location"])
    milliseconds = (time.perf_counter() - started) * 1000
    if job.status != "done":
        raise click.ClickException(f"the job failed: {(job.error or {}).get('detail', job.status)}")
    return [
        Row(made.size, made.key, "by job", made.width, made.height, made.bytes, milliseconds)
        for made in job.derivatives
    ]


def ended(service: Service, location: str) -> Job:
    """Poll a job until it has ended, and return it."""
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        job = msgspec.json.decode(httpx.get(service.url + location).content, type=Job)
        if job.status in {"done", "error"}:
            return job
        time.sleep(0.02)
    raise click.ClickException(f"the job did not end within {JOB_SECONDS:g} s")


def lazy(service: Service, key: str) -> Row:
    """Fetch a size that does not exist yet, as a page would, following the redirect."""
    started = time.perf_counter()
    answer = httpx.get(f"{service.url}/img/{quote(key)}/{LAZY}", follow_redirects=True, timeout=60)
    milliseconds = (time.perf_counter() - started) * 1000
    if not answer.is_success:
        raise click.ClickException(f"{LAZY} could not be fetched: {answer.text}")
    derivative = unquote(answer.url.path).split("/", 2)[2]  # below /files, or below the bucket's name
    fetched = service.folder / "fetched"
    fetched.write_bytes(answer.content)
    picture = pyvips.Image.new_from_file(str(fetched))
    return Row(LAZY, derivative, "by page view", picture.width, picture.height, len(answer.content), milliseconds)


if __name__ == "__main__":
    main()
