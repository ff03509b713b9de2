"""Logging: one line per event whatever it contains, and the same fields from every source."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HOSTILE = [
    "a\nb",
    "a\r\nb",
    "a\rb",
    "a\x85b",
    "a\u2028b\u2029c",
    "\x1b[31mred",
    "nul\0",
    '"}\n{"event": "forged"',
    "\udcff",
    "gall/ü/照片_original.jpg",
]

BEGIN = f"""
import asyncio, logging, threading, warnings
import saq, structlog
from proxy.observability.logging import configure_logs
HOSTILE = {HOSTILE!r}
log = structlog.get_logger("ours")
def trip(password): 1 / 0
async def fail(): trip("hunter" + "2")
configure_logs(level="DEBUG", form="%s")
"""

Event = dict[str, object]


def run(script: str, *, form: str = "json") -> str:
    """Run a script that logs, and return its standard error."""
    told = subprocess.run([sys.executable, "-c", BEGIN % form + script], capture_output=True, text=True, check=False)
    assert told.stdout == ""
    return told.stderr


def events(script: str) -> list[Event]:
    """Return the events that a script logs; each has to be one line with the same fields."""
    told: list[Event] = [json.loads(line) for line in run(script).splitlines()]
    assert all(isinstance(one[name], str) for one in told for name in ("event", "level", "logger", "time"))
    return told


def test_an_event_is_one_line_whatever_it_holds() -> None:
    told = events(
        "for text in HOSTILE: log.info(text, key=text)\n"
        "for text in HOSTILE: logging.getLogger('theirs').info('%s', text)\n"
        "for text in HOSTILE: structlog.contextvars.bind_contextvars(key=text); log.error('bound')"
    )
    shown = [text.encode(errors="surrogatepass") for text in HOSTILE]
    assert [str(one["key"]).encode(errors="surrogatepass") for one in told if one["logger"] == "ours"] == shown * 2
    assert [str(one["event"]).encode(errors="surrogatepass") for one in told if one["logger"] == "theirs"] == shown


def test_a_trace_is_one_line_that_names_the_fault_and_no_variables() -> None:
    (told,) = events("try: trip('hunter' + '2')\nexcept ZeroDivisionError: log.exception('fell')")
    assert "ZeroDivisionError" in str(told["exception"])
    assert "hunter2" not in str(told)


@pytest.mark.parametrize(
    "script",
    [
        "warnings.warn('beware')",
        "threading.Thread(target=lambda: 1 / 0).start()",
        "1 / 0",
        "async def main(): asyncio.create_task(fail()); await asyncio.sleep(0)\nasyncio.run(main())",
    ],
    ids=["a warning", "a thread that falls", "the whole process that falls", "a task that falls and nobody asks"],
)
def test_what_python_itself_tells_is_an_event_too(script: str) -> None:
    assert [one["level"] for one in events(script) if one["level"] != "debug"] != []


def test_the_queues_library_names_jobs_and_shows_none_whole() -> None:
    job = "saq.Job(function='f', key='abc', kwargs={'callback_url': 'https://a.test/?token=sesame'})"
    script = f"logging.getLogger('saq').error('Error processing job %s', {job})"
    (told,) = events(script)
    assert (told["event"], told["logger"]) == ("Error processing job abc", "saq")


def test_people_get_lines_without_variables_too() -> None:
    told = run("try: trip('hunter' + '2')\nexcept ZeroDivisionError: log.exception('fell', key='a')", form="console")
    assert "fell" in told
    assert "key=a" in told
    assert "ZeroDivisionError" in told
    assert "hunter2" not in told


def test_people_read_the_event_first() -> None:
    lines = run("log.info('listening', port=1)\nlog.warning('request', status=502)", form="console").splitlines()
    assert [line.split()[:2] for line in lines] == [["listening", "[info"], ["request", "[warning"]]


MARKS = [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029, *range(0x80, 0xA0), *range(0x20), 0x7F]


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_mark_that_a_terminal_obeys_is_in_a_line(form: str) -> None:
    told = run(
        f"text = 'a' + ''.join(map(chr, {MARKS})) + 'b'\n"
        "log.warning(text, key=text, values=[text])\n"
        "logging.getLogger(text).warning('%s', text)\n"
        "try: raise ValueError(text)\nexcept ValueError: log.exception('fell')",
        form=form,
    )
    assert not {*told} & ({*map(chr, MARKS)} - {"\n"})
    assert told.count("u202e") >= 5
    if form == "console":
        lines = told.splitlines()
        assert (lines[0].count("u2028"), "warning" in lines[1], lines[2].endswith("Z")) == (3, True, True)
        assert "Traceback" in lines[3]


def test_the_console_shows_letters_as_they_are() -> None:
    assert "key=gall/ü/照片_original.jpg" in run("log.info('a', key='gall/ü/照片_original.jpg')", form="console")


def test_lines_go_to_what_is_standard_error_when_they_are_told_as_a_bar_takes_its_place() -> None:
    told = run(
        "import io, sys\n"
        "real, sys.stderr = sys.stderr, io.StringIO()\n"
        "log.info('above the bar')\n"
        "real.write('above:' + sys.stderr.getvalue())"
    )
    assert told.startswith('above:{"event": "above the bar"')
