"""Measures a built image and runs the demo in it: `python -m loadtest.image build/image`.

Prints the size of the image, its start time and its memory. Exits with 1 if its size or memory exceeds the limits, if
it contains packages that NOTICE does not name, if an attempt of a decoder's code is not stopped, or if the demo fails.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx

from loadtest import demo
from loadtest.image import layout
from loadtest.image.attempts import check_attempts
from loadtest.image.container import unnamed, unpacked
from loadtest.servers.groups import memory_group
from loadtest.servers.service import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.image.container import Contained, Unpacked

MEGABYTE = 1e6
MOST_COMPRESSED, MOST_UNCOMPRESSED = 40 * MEGABYTE, 90 * MEGABYTE
MOST_IDLE = 110 * MEGABYTE
SMALL_MACHINE_BYTES = 256 << 20
COLD_START_SECONDS = 1.5
"""Printed beside the measured time, not enforced: on a busy machine the time proves nothing."""

AS_IT_SHOULD = {"user": "10001", "process": "1", "root": "ro"}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--cold-starts", default=5, show_default=True, help="How often it is started on an empty folder.")
@click.option("--photo", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Also run it in 256 MB.")
def main(folder: Path, *, cold_starts: int, photo: Path | None) -> None:
    """Measure the image in FOLDER, an OCI layout, and run the demo in it."""
    os.umask(0)  # the image's user writes derivatives beside originals that this process puts there
    image = layout.read(folder)
    print(f"compressed: {image.compressed / MEGABYTE:.1f} MB (at most {MOST_COMPRESSED / MEGABYTE:.0f})")
    print(f"uncompressed: {image.uncompressed / MEGABYTE:.1f} MB (at most {MOST_UNCOMPRESSED / MEGABYTE:.0f})")
    with unpacked(image) as files:
        if found := unnamed(files.root):
            sys.exit(f"NOTICE does not name what it has of the system: {', '.join(found)}")
        seconds = statistics.median(_cold_start(files) for _ in range(cold_starts))
        aim = f"aim {COLD_START_SECONDS:g} on an idle machine"
        print(f"cold start to ready: {seconds:.2f} s, median of {cold_starts} ({aim})")
        _run_main_job(files)
        if photo:
            _run_on_small_machine(files, photo)
    sys.exit(image.compressed > MOST_COMPRESSED or image.uncompressed > MOST_UNCOMPRESSED)


@contextmanager
def _running(files: Unpacked) -> Iterator[Contained]:
    """Yield a service on an empty folder; exit if it does not stop with status 0, as process 1 must."""
    with tempfile.TemporaryDirectory(prefix="gf-images-image-") as name:
        service = files.service(Path(name), HOST="127.0.0.1")
        with started(service):
            yield service
            if status := service.stop():
                sys.exit(f"it ended with {status} when it was asked to stop; its log:\n{service.log.read_text()}")


def _cold_start(files: Unpacked) -> float:
    began = time.perf_counter()
    with _running(files):
        return time.perf_counter() - began


def _run_main_job(files: Unpacked) -> None:
    with _running(files) as service:
        held = service.resident_bytes()
        print(f"idle memory: {held / MEGABYTE:.0f} MB (at most {MOST_IDLE / MEGABYTE:.0f})")
        if held > MOST_IDLE:
            sys.exit("it holds more than that when it is idle")
        if (found := service.stands()) != AS_IT_SHOULD:
            sys.exit(f"its main process should be {AS_IT_SHOULD}, and is {found}")
        _check_health(files, service)
        check_attempts(files.service(service.folder, HOST="127.0.0.1"))
        httpx.get(f"{service.url}/healthz").raise_for_status()
        demo.show_main_job(service)


def _run_on_small_machine(files: Unpacked, photo: Path) -> None:
    """Run the demo on a photograph in a memory control group; exit if the kernel killed a process in it."""
    with tempfile.TemporaryDirectory(prefix="gf-images-image-") as name, memory_group(SMALL_MACHINE_BYTES) as group:
        service = files.service(Path(name), entry=group.entry, HOST="127.0.0.1")
        with started(service):
            demo.show_main_job(service, photo)
            print(f"in {SMALL_MACHINE_BYTES >> 20} MB: {group.kills()} processes killed")
            service.stop()
            if group.kills():
                sys.exit("the kernel killed a process for want of memory")


def _check_health(files: Unpacked, service: Contained) -> None:
    """Run the image's own health check beside the service, as a container engine does."""
    other = files.service(service.folder, HOST="127.0.0.1", PORT=str(service.port))
    if status := other.run("python", "-m", "proxy.healthcheck"):
        sys.exit(f"its health check ends with {status} while it works")


if __name__ == "__main__":
    main()
