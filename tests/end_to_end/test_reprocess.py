"""Reprocessing a store: killed, stopped, read meanwhile, on a folder, on a bucket, through the queue."""

from __future__ import annotations

import asyncio
import signal
import threading
from hashlib import sha256
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.service import Service, on_bucket, running, started
from tests.end_to_end.reprocesses import SIZES, fill, made, reprocessing, run
from tests.proxy.stores.fault_proxy import Fault, FaultProxy
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COARSE = SIZES.replace("\n[", "\nquality = 40\n[") + "quality = 40\n"
ORIGINALS = count(300, otherwise=80)
KILLS = count(5, otherwise=2)
UNDERWAY = 8
"""Originals underway at once with two workers."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.jpg" for number in range(10)]
    for number, path in enumerate(paths):
        paint(path, Photograph(width=300 + number, height=200, noise=8, seed=number))
    return paths


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("weed")) as one:
        yield one


@pytest.mark.timeout(600)
def test_a_run_that_was_killed_five_times_ends_as_one_that_never_was(photos: list[Path], tmp_path: Path) -> None:
    fill(tmp_path / "a", photos, ORIGINALS)
    fill(tmp_path / "b", photos, ORIGINALS)
    assert run(tmp_path / "a").rendered == ORIGINALS
    told: list[str] = []
    for number in range(KILLS):
        with reprocessing(tmp_path / "b", "--all") as one:
            one.hear(ORIGINALS // (KILLS + 1) + number)
            one.kill()
        told += [original.key for original in one.originals]
    with reprocessing(tmp_path / "b", "--all") as one:
        assert one.end() == 0
    told += [original.key for original in one.originals]
    assert len(told) == len(set(told)), "made again although it was over"
    assert ORIGINALS - KILLS * UNDERWAY <= len(told) <= ORIGINALS
    assert one.ended is not None
    assert one.ended.rendered == ORIGINALS
    assert made(tmp_path / "b") == made(tmp_path / "a")
    again = run(tmp_path / "b")
    assert (again.rendered, again.fresh) == (0, ORIGINALS)
    assert not [*(tmp_path / "b" / "store" / "\x7fgallformers" / "temporary").iterdir()]
    assert not [*(tmp_path / "b" / "tmp").glob("gf-images-*/work/*")]


@pytest.mark.timeout(600)
def test_who_reads_meanwhile_never_misses_a_derivative_nor_sees_half_of_one(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "site"
    fill(folder, photos, 40)
    run(folder, sizes=COARSE)
    before = made(folder)
    seen: set[tuple[str, str]] = set()
    statuses: set[int] = set()
    over = threading.Event()

    def read(url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not over.is_set():
                for key in before:
                    answer = client.get(f"/files/{key}")
                    statuses.add(answer.status_code)
                    seen.add((key, sha256(answer.content).hexdigest()))

    store = f"file://{folder}/store"
    with running(
        tmp_path / "service", STORE=store, SIZES_FILE=str(folder / "sizes.toml"), STREAM_CACHE_MB="0"
    ) as service:
        readers = [threading.Thread(target=read, args=[service.url]) for _ in range(2)]
        for reader in readers:
            reader.start()
        ended = run(folder)
        over.set()
        for reader in readers:
            reader.join()
    after = made(folder)
    assert ended.rendered == 40
    assert all(after[key] != before[key] for key in before)
    assert statuses == {200}
    whole = {(key, sha256(body).hexdigest()) for state in (before, after) for key, body in state.items()}
    assert seen <= whole
    assert len(seen) > len(before), "nobody looked while anything changed"


def test_a_run_that_is_told_to_stop_finishes_what_runs_and_goes_on_later(photos: list[Path], tmp_path: Path) -> None:
    fill(tmp_path, photos, 60)
    with reprocessing(tmp_path) as one:
        one.hear(10)
        one.process.send_signal(signal.SIGTERM)
        assert one.end() == 1
    assert one.ended is not None
    assert not one.ended.is_finished
    assert 10 <= len(one.originals) < 60
    assert len(made(tmp_path)) == 2 * len(one.originals), "what ran was not finished"
    ended = run(tmp_path)
    assert (ended.rendered, ended.fresh) == (60, 0)


def test_a_run_that_is_told_twice_gives_up_at_once(photos: list[Path], tmp_path: Path) -> None:
    fill(tmp_path, photos, 1)
    large = tmp_path / "store/gall/0/large_original.jpg"
    paint(large, Photograph(width=9000, height=9000, noise=8), Q=20, interlace=True)  # some seconds of rendering
    with reprocessing(tmp_path) as one:
        one.hear(1)  # so the other one is underway
        one.process.send_signal(signal.SIGINT)
        one.hear_of("stopping")  # two signals at once would be one
        one.process.send_signal(signal.SIGINT)
        assert one.end() == 130
    assert not list(large.parent.glob("large_small.*")), "what was underway was finished"


def test_a_run_whose_lines_nobody_takes_ends_with_a_sentence_and_goes_on_later(
    photos: list[Path], tmp_path: Path
) -> None:
    fill(tmp_path, photos, 60)
    with reprocessing(tmp_path) as one:
        one.hear(3)
        assert one.process.stdout is not None
        one.process.stdout.close()
        assert one.end() == 1
    assert "The output cannot be written" in (tmp_path / "errors").read_text()
    assert "Traceback" not in (tmp_path / "errors").read_text()
    assert len(made(tmp_path)) < 2 * 60
    run(tmp_path)
    assert len(made(tmp_path)) == 2 * 60


def test_a_run_of_other_words_is_not_mixed_up_with_an_unfinished_one(photos: list[Path], tmp_path: Path) -> None:
    fill(tmp_path, photos, 40)
    with reprocessing(tmp_path, "--all") as one:
        one.hear(5)
        one.kill()
    with reprocessing(tmp_path) as other:
        assert other.end() == 2
    assert "has other options or settings (--only-stale, --missing or --all)" in (tmp_path / "errors").read_text()
    with reprocessing(tmp_path, sizes=COARSE) as other:
        assert other.end() == 2
    assert run(tmp_path, "--restart").originals == 40


def test_a_run_on_a_bucket(weed: seaweed.Seaweed, photos: list[Path], tmp_path: Path) -> None:
    keys = [f"gall/{number % 3}/{number}_original.jpg" for number in range(30)]
    for number, key in enumerate(keys):
        weed.put(key, photos[number % len(photos)])
    settings = on_bucket(weed, seaweed.ADMIN)
    with reprocessing(tmp_path / "run", **settings) as one:
        one.hear(7)
        one.kill()
    assert run(tmp_path / "run", **settings).originals == 30
    again = run(tmp_path / "run", **settings)
    assert (again.rendered, again.fresh) == (0, 30)
    for key in keys:
        small = httpx.get(f"{settings['PUBLIC_BASE_URL']}/{key.replace('original', 'small')}")
        assert small.status_code == 200


def test_credentials_that_may_not_list_are_told_what_to_allow(weed: seaweed.Seaweed, tmp_path: Path) -> None:
    with reprocessing(tmp_path, **on_bucket(weed, seaweed.WRITER)) as one:
        assert one.end() == 1
    assert "s3:ListBucket" in (tmp_path / "errors").read_text()


@pytest.mark.anyio
async def test_a_bucket_that_errs_and_breaks_off_costs_no_original(
    weed: seaweed.Seaweed, photos: list[Path], tmp_path: Path
) -> None:
    for number in range(10):
        weed.put(f"bad-day/{number}_original.jpg", photos[number])
    async with FaultProxy(weed.port) as proxy:
        proxy.fault = Fault(errors=0.2, resets=0.1)
        settings = on_bucket(weed, seaweed.ADMIN, S3_ENDPOINT_URL=proxy.url)
        ended = await asyncio.to_thread(run, tmp_path, "--prefix", "bad-day/", **settings)
        assert proxy.struck
    assert (ended.rendered, ended.failed) == (10, 0)


def test_a_run_through_the_queue_is_worked_by_a_service(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fill(folder, photos, 30)
    (folder / "sizes.toml").write_text(SIZES)
    shared = {"STORE": f"file://{folder}/store", "QUEUE": f"sqlite:////{tmp_path}/queue.db", "QUEUE_SIZE": "6"}
    service = Service(folder=tmp_path / "service", settings={"SIZES_FILE": str(folder / "sizes.toml"), **shared})
    with started(service):
        with reprocessing(folder, "--through-queue", **shared) as one:
            one.hear(8)
            one.kill()
        ended = run(folder, "--through-queue", **shared)
    assert (ended.rendered or 0) + ended.fresh == 30
    assert len(made(folder)) == 60
