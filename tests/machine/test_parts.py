"""What the state machine relies on: the names in the product that it uses, and its own sharp eyes."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from tests.machine.clock import DAY_SECONDS, Clock, remove_shared_memory, true_time
from tests.machine.fork_server import WAITS
from tests.machine.mutations import MUTATIONS
from tests.machine.nodes import ROOT, Life, Node
from tests.machine.promises import read_runs
from tests.machine.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.bucket import Bucket

STARTED, DONE = "job_started", "job_done"


@pytest.mark.parametrize("name", [*MUTATIONS])
def test_each_mutation_can_still_be_made_in_the_product(name: str) -> None:
    for edit in MUTATIONS[name].edits:
        assert (ROOT / edit.path).read_text().count(edit.right) == 1


@pytest.mark.parametrize("name", [*WAITS])
def test_each_wait_that_is_shortened_is_one_of_the_service(name: str) -> None:
    module, _, constant = name.rpartition(".")
    assert hasattr(importlib.import_module(module), constant)


def logged(folder: Path, *events: tuple[str, float]) -> Life:
    """Return a process that logged these events of one job, each at a second."""
    lines = [
        msgspec.json.encode({"event": event, "job_id": "a", "time": f"2026-01-01T00:00:{second:06.3f}Z"})
        for event, second in events
    ]
    log = folder / "log.jsonl"
    log.write_bytes(b"\n".join([b"not JSON", *lines]))
    return Life(pid=0, descriptor=-1, log=log, began=0.0)


def seconds(folder: Path, life: Life) -> list[tuple[float, float]]:
    """Return when the work of a process began and ended, in seconds of that minute."""
    node = Node("one", folder, {})
    return [(round(run.began % 60, 3), round(run.ended % 60, 3)) for run in read_runs(node, life)]


def test_work_lasts_from_its_start_to_its_end_in_the_log(tmp_path: Path) -> None:
    ends = ("job_lease_lost", 5), (STARTED, 6), ("job_cancelled", 7)
    life = logged(tmp_path, (STARTED, 1), (DONE, 2.5), (STARTED, 4), *ends)
    assert seconds(tmp_path, life) == [(1, 2.5), (4, 5), (6, 7)]


def test_work_that_the_store_holds_up_ends_when_it_is_held(tmp_path: Path) -> None:
    life = logged(tmp_path, (STARTED, 1), ("job_held", 2), ("request", 9))
    life.ended = time.time()
    assert seconds(tmp_path, life) == [(1, 2)]


def test_work_of_a_process_that_was_killed_lasts_to_the_last_thing_that_it_logged(tmp_path: Path) -> None:
    life = logged(tmp_path, (STARTED, 1), ("request", 3))
    life.ended = time.time()
    assert seconds(tmp_path, life) == [(1, 3)]


def test_work_of_a_process_that_was_stopped_for_a_lease_does_not_count(tmp_path: Path) -> None:
    life = logged(tmp_path, (STARTED, 1), (DONE, 9))
    began = next(read_runs(Node("one", tmp_path, {}), life)).began
    life.frozen.append((began + 1, began + 7))
    assert seconds(tmp_path, life) == []


TELL_TIMES = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


@pytest.mark.needs("faketime", "faketime")
def test_the_clock_of_a_process_is_set_while_it_runs_but_not_its_monotonic_one(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    with subprocess.Popen(
        [sys.executable, "-c", TELL_TIMES],
        env=clock.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for offset in (0, -DAY_SECONDS, 3600, 0):
            clock.set(offset)
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic = map(float, process.stdout.readline().split())
            assert wall == pytest.approx(clock.now(), abs=60)
            assert monotonic == pytest.approx(time.monotonic(), abs=60)
        process.stdin.close()
    remove_shared_memory(process.pid)


@pytest.mark.parametrize("offset", [0, -DAY_SECONDS, 3600])
def test_a_time_in_a_log_is_that_of_the_clock_less_what_it_was_off(offset: int) -> None:
    assert true_time(1_000_500 + offset, began=1_000_000, ended=1_001_000) == 1_000_500


class Kept:
    """A bucket that keeps nothing."""

    def put(self, key: str, photo: Path) -> str:
        return f"{key} of {photo.name}"

    def remove(self, key: str) -> None:
        pass


@contextmanager
def answering(*ids: str) -> Iterator[tuple[str, Event]]:
    """Accept posts, the second of which waits for an event; yield the address and the event.

    `ids` are those of the jobs with which the posts are answered, in the order of their arrival.
    """
    left, go_on, key = iter(enumerate(ids)), Event(), "gall/1/1_1_original.jpg"

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            number, job_id = next(left)
            if number == 1:
                go_on.wait(10)
            body = msgspec.json.encode({"id": job_id, "key": key, "status": "queued", "created_at": "today"})
            self.send_response(HTTPStatus.ACCEPTED)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", go_on
        go_on.set()
        server.shutdown()


@pytest.mark.parametrize(("last", "violations"), [("created", 0), ("another", 1)])
def test_only_a_message_sent_after_its_job_was_known_has_to_be_answered_with_that(
    tmp_path: Path, last: str, violations: int
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a picture")
    with answering("earlier", "earlier", "created", last) as (url, go_on):
        node = cast("Node", SimpleNamespace(url=url, name="one", clock=Clock(tmp_path / "clock")))
        site = Site([], cast("Bucket", Kept()), [photo], "")
        site.post(site.add_picture(), node, has_callback=False)
        site.post(site.pictures[0], node, has_callback=False)  # joins the job of that post; the answer is late
        post = site.posts[-1]
        site.send(post, node)  # creates one, as that has ended by now
        go_on.set()
        assert site.wait(10)
        assert not site.violations
        site.send(post, node)
        assert site.wait(10)
        assert len(site.violations) == violations
        site.close()


def test_a_job_that_was_posted_without_an_original_may_end_without_one(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a picture")
    site = Site([], cast("Bucket", Kept()), [photo], "")
    picture = site.add_picture()
    site.remove(picture)
    posted = site.tick()
    site.write(picture)
    assert posted < picture.was_absent < site.tick()
    site.close()
