"""The users of every scenario. Only locust imports this module: locust switches the whole process to gevent."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Final, NoReturn, Protocol
from urllib.parse import quote, urljoin

import msgspec
from locust import FastHttpUser, events, poisson, task
from locust.exception import StopUser

from loadtest import bars, plan
from loadtest.popularity import views
from loadtest.servers.service import order, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust.env import Environment

PLAN, SECRET = plan.told()
LOOK_EVERY_SECONDS: Final = 0.5
"""How often a sender polls its job: the polls of 30 senders must not become the measured load."""

JOBS = iter(range(PLAN.jobs))
VIEWS = iter(range(PLAN.views))
PAGES = views(PLAN.known or ("",), seed=PLAN.seed)
SIZES = itertools.cycle(PLAN.sizes)
LEAVING = itertools.count(1)


class NotDone(Exception):
    """A job that ended in an error."""


class Job(msgspec.Struct):
    """The fields of a job that are read here."""

    status: str
    error: dict[str, str] | None


class Answer(Protocol):
    """The response that locust returns, as far as it is used here; locust has no types for most of it."""

    status_code: int
    text: str | None
    headers: Mapping[str, str]

    def success(self) -> None:
        """Count the response as a success."""
        ...

    def failure(self, exc: object) -> None:
        """Count the response as a failure."""
        ...


class _Person(FastHttpUser):
    """A user that verifies certificates, and stops when the plan is done."""

    abstract = True
    insecure = False
    numbers = itertools.count()

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.number = next(self.numbers)

    def leave(self) -> NoReturn:
        """Stop this user; the last user to stop ends the run."""
        if next(LEAVING) == sum(PLAN.people.values()) and self.environment.runner:
            threading.Timer(LOOK_EVERY_SECONDS, self.environment.runner.quit).start()  # after this one has stopped
        raise StopUser

    def first_look(self, key: str) -> None:
        """View a page for the first time: purge its derivatives, view it, and fetch what it redirects to."""
        address = f"/v1/derivatives/{quote(key)}"
        headers = signed(f"DELETE {PLAN.origin}{address}".encode(), secret=SECRET)
        with self.client.delete(address, headers=headers, name=bars.PURGE, catch_response=True) as answer:
            _take(answer, 200, 204)
        led = self.look(key, name=bars.FIRST)
        if led:
            with self.client.get(led, name=bars.DERIVATIVE, catch_response=True) as answer:
                _take(answer, 200)

    def look(self, key: str, *, name: str) -> str:
        """View a page; return the address of its picture, or "" if the view failed or returned the picture itself."""
        address = f"/img/{quote(key)}/{next(SIZES)}"
        with self.client.get(address, name=name, allow_redirects=False, catch_response=True) as answer:
            if not _take(answer, 200, 302) or answer.status_code == 200:  # noqa: PLR2004 - an HTTP status
                return ""
            return urljoin(f"{self.host}{address}", str(answer.headers["location"]))


class Sender(_Person):
    """A site that posts one job after another, each when the last has ended."""

    abstract = "Sender" not in PLAN.people
    fixed_count = PLAN.people.get("Sender", 0)
    numbers = itertools.count()

    def on_start(self) -> None:
        """Pick the originals of this sender: two live jobs of one original would be one job."""
        self.keys = itertools.cycle(PLAN.ordered[self.number :: self.fixed_count])

    @task
    def send(self) -> None:
        """Post a job with `force` and wait until it has ended."""
        if next(JOBS, None) is None:
            self.leave()
        began = time.perf_counter()
        body = order(next(self.keys), force=True)
        headers = signed(body, secret=SECRET)
        with self.client.post(
            "/v1/jobs", data=body.decode(), headers=headers, name=bars.POST, catch_response=True
        ) as answer:
            location = answer.headers["location"] if _take(answer, 202) else ""
        if location:
            job = self._ended(location)
            fault = None if job.status == "done" else NotDone(str(job.error))
            self._told(milliseconds=(time.perf_counter() - began) * 1000, fault=fault)

    def _ended(self, location: str) -> Job:
        while True:
            with self.client.get(location, name=bars.LOOK, catch_response=True) as answer:
                if _take(answer, 200):
                    job = msgspec.json.decode(answer.content, type=Job)
                    if job.status in {"done", "error"}:
                        return job
            time.sleep(LOOK_EVERY_SECONDS)

    def _told(self, *, milliseconds: float, fault: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="JOB",
            name=bars.JOB,
            response_time=milliseconds,
            response_length=0,
            exception=fault,
            context={},
        )


class Viewer(_Person):
    """A visitor who mostly views popular pages, and now and then a page for the first time."""

    abstract = "Viewer" not in PLAN.people
    fixed_count = PLAN.people.get("Viewer", 0)
    numbers = itertools.count()
    wait_time = poisson(PLAN.views_a_second / max(1, fixed_count))

    def on_start(self) -> None:
        """Start after a random wait.

        With a constant throughput, locust would count from its own start, and all users would begin at once.
        """
        time.sleep(self.wait_time())

    @task
    def view(self) -> None:
        """View the next page."""
        if next(VIEWS, None) is None:
            self.leave()
        page = next(PAGES)
        if page is None:
            self.first_look(PLAN.first[self.number])
        else:
            self.look(page, name=bars.KNOWN)


class FirstViewer(_Person):
    """A visitor who views only pages that were never viewed before."""

    abstract = "FirstViewer" not in PLAN.people
    fixed_count = PLAN.people.get("FirstViewer", 0)
    numbers = itertools.count()

    @task
    def view(self) -> None:
        """View the next page."""
        if next(VIEWS, None) is None:
            self.leave()
        self.first_look(PLAN.first[self.number])


def judge(environment: Environment, **_: object) -> None:
    """Compare the results of the run with the bars; the process exits with 1 if one is missed."""
    series = {
        entry.name: bars.Series(
            count=entry.num_requests,
            failures=entry.num_failures,
            p99_milliseconds=entry.get_response_time_percentile(0.99),
        )
        for entry in environment.stats.entries.values()
    }
    results = bars.Results(series=series, jobs=PLAN.jobs, views=PLAN.views)
    environment.process_exit_code = 0 if bars.all_met(bars.OF_SCENARIO[PLAN.scenario], results) else 1


events.quitting.add_listener(judge)  # type: ignore[no-untyped-call] # locust has no types for its events


def _take(answer: Answer, *statuses: int) -> bool:
    """Count a response as a success or a failure, and return which."""
    if answer.status_code in statuses:
        answer.success()
        return True
    answer.failure(f"{answer.status_code}: {(answer.text or '')[:200]}")
    return False
