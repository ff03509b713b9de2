"""Requests of well-behaved clients, from a process of its own: the attack would delay them in the same one."""

from __future__ import annotations

import time
from http.client import HTTPConnection, HTTPException

PAUSE_SECONDS = 0.05


def latencies(port: int, paths: list[str], seconds: float) -> list[float]:
    """Request paths by turns on a new connection each, and return the seconds until each answer; inf for none."""
    waits: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        path = paths[len(waits) % len(paths)]
        started_at = time.monotonic()
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            is_answered = connection.getresponse().status in (200, 302)
        except (OSError, HTTPException):
            is_answered = False
        finally:
            connection.close()
        waits.append(time.monotonic() - started_at if is_answered else float("inf"))
        time.sleep(PAUSE_SECONDS)
    return sorted(waits)
