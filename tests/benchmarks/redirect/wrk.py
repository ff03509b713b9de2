"""One run of wrk, and what it tells."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PATHS = """\
local paths = {{{paths}}}
local headers = {{{headers}}}
local number = 0
request = function()
  number = number % #paths + 1
  return wrk.format("GET", paths[number], headers)
end
done = function(summary, latency)
  io.write(string.format("TOLD %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status + summary.errors.connect
    + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""
"""Asks for each of the paths by turns; tells counts, and microseconds."""

_TOLD = re.compile(r"TOLD (\d+) (\d+) (\d+) (\d+) (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How many requests were answered a second, and how many milliseconds the middle one and the 99th took."""

    per_second: float
    median: float
    p99: float


def write_script(path: Path, paths: Sequence[str], headers: Mapping[str, str] | None = None) -> None:
    """Write down what wrk asks for; neither the paths nor the names of headers have quotes in them."""
    told = ", ".join(f"[\"{name}\"] = '{value}'" for name, value in (headers or {}).items())
    path.write_text(PATHS.format(paths=", ".join(f'"{one}"' for one in paths), headers=told), encoding="ascii")


def run(url: str, script: Path, *, core: int, connections: int, seconds: int) -> Run:
    """Ask over so many connections for so many seconds, from one core.

    Raises:
        RuntimeError: a request failed, or was answered with an error.
    """
    words = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=seconds + 20).stdout
    told = _TOLD.search(said)
    if told is None or int(told[5]):
        raise RuntimeError(f"wrk failed at {url}:\n{said}")
    requests, duration, median, p99 = (int(told[number]) for number in range(1, 5))
    return Run(per_second=requests / duration * 1e6, median=median / 1000, p99=p99 / 1000)
