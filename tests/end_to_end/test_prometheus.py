"""A real Prometheus that watches a service at work."""

from __future__ import annotations

import math
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, order, running, signed
from tests import prometheus
from tests.end_to_end.senders import all_ended
from tests.expressions import CONFIG, dashboard_expressions
from tests.held import resident_bytes
from tests.servers import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.prometheus import Prometheus

pytestmark = [pytest.mark.needs("prometheus", "prometheus"), pytest.mark.timeout(600)]

JOBS = 48
"""Of 12 megapixels with one worker, and more for as long as something is looked for: see `Watched.keep_busy`."""

MORE_JOBS = 2
"""At each look: more than any machine renders meanwhile."""

FOR_SECONDS = 4
"""How long an alert is pending here, instead of minutes."""

DEADLINE_SECONDS = 240.0
LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Watched:
    """A service under load, the jobs that were posted, and a Prometheus that watches it."""

    service: Service
    prometheus: Prometheus
    photo: Path
    jobs: list[str]

    def keep_busy(self) -> None:
        """Post some jobs more: how soon those that were posted end, the machine decides."""
        for _ in range(MORE_JOBS):
            self.jobs.append(post(self.service, self.photo, len(self.jobs)))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    rules, shortened = re.subn(r"for: \d+m", f"for: {FOR_SECONDS}s", (CONFIG / "alerts.yml").read_text())
    assert shortened
    paint(folder / "photo.jpg", Photograph(width=4000, height=3000, noise=4))
    with (
        running(folder / "service", WORKERS="1", QUEUE_SIZE="10000") as service,
        prometheus.asking(folder, [service.metrics_port], rules=rules) as one,
        page_views(service),
    ):
        photo = folder / "photo.jpg"
        jobs = [post(service, photo, number) for number in range(JOBS)]
        yield Watched(service=service, prometheus=one, photo=photo, jobs=jobs)


def post(service: Service, photo: Path, number: int) -> str:
    key = f"gall/{number}/{number}_1_original.jpg"
    service.put(key, photo)
    body = order(key)
    return str(httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).headers["location"])


@contextmanager
def page_views(service: Service) -> Iterator[None]:
    """View pages within the block: derivatives that are there, are not, cannot be."""
    enough = threading.Event()
    service.put("gall/bad/1_1_original.jpg", Path(__file__))

    def view() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            while not enough.wait(0.02):
                for address in ("gall/0/0_1_original.jpg/small", "gall/absent_original.jpg/small", "gall/a//b/small"):
                    client.get(f"/img/{address}")
                client.get("/img/gall/bad/1_1_original.jpg/small")

    viewer = threading.Thread(target=view)
    viewer.start()
    try:
        yield
    finally:
        enough.set()
        viewer.join()


def wait_for(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(LOOK_EVERY_SECONDS)  # Prometheus raises no event here


def test_the_alert_of_a_long_queue_is_pending_then_firing_then_gone(
    watched: Watched, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    seen: dict[str, float] = {}

    def fires() -> bool:
        alert = watched.prometheus.alerts().get("QueueTooLong")
        if alert:
            seen.setdefault(alert.state, time.monotonic() - began)
        if alert is not None and alert.state == "firing":
            return True
        watched.keep_busy()
        return False

    wait_for(fires)
    alert = watched.prometheus.alerts()["QueueTooLong"]
    assert list(seen) == ["pending", "firing"]
    assert re.fullmatch(
        r"\d+ jobs have been waiting for five minutes, more than four for each worker\.", alert.annotations["summary"]
    )
    all_ended(watched.service, watched.jobs)
    wait_for(lambda: "QueueTooLong" not in watched.prometheus.alerts())
    others = {name for name, other in watched.prometheus.alerts().items() if other.state == "firing"}
    assert not others & {
        "TooManyErrors",
        "TooManyJobsFail",
        "RenderProcessesDie",
        "StoreFails",
        "NotReady",
        "NobodyAnswers",
    }
    told = {state: f"{seconds:.1f} s" for state, seconds in seen.items()}
    record_property("QueueTooLong", f"{told}, resolved after {time.monotonic() - began:.1f} s")


def test_every_panel_of_the_dashboard_shows_something(watched: Watched) -> None:
    def shows(expression: str) -> bool:
        if is_shown(watched.prometheus, expression):
            return True
        watched.keep_busy()
        return False

    for expression in dashboard_expressions():
        wait_for(partial(shows, expression))


def is_shown(one: Prometheus, expression: str) -> bool:
    return any(math.isfinite(float(sample.value[1])) for sample in one.ask(expression))


def test_promtool_finds_nothing_wrong_with_the_series(watched: Watched) -> None:
    page = httpx.get(f"http://127.0.0.1:{watched.service.metrics_port}/metrics").content
    told = subprocess.run([program("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (told.returncode, told.stdout + told.stderr) == (0, b"")


def test_memory_is_told_of_the_service_and_of_its_render_processes_apart(watched: Watched) -> None:
    assert watched.service.process is not None
    own = resident_bytes(watched.service.process.pid)
    renders = sum(map(resident_bytes, watched.service.children()))
    told = {one.metric["kind"]: float(one.value[1]) for one in watched.prometheus.ask("resident_bytes")}
    assert told["web"] == pytest.approx(own, rel=0.5)
    assert told["render"] == pytest.approx(renders, rel=0.8)  # one may be at work, with a decoded picture
    (used,), (limit,) = watched.prometheus.ask("memory_used_bytes"), watched.prometheus.ask("memory_limit_bytes")
    assert 0 < float(used.value[1]) < float(limit.value[1])
