"""Starts services within milliseconds: imports the service once, with short waits, and forks at each order.

Each line on standard input is an order: the file for the log of the new service. The answer is its process id. The
services end with this process.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import select
import signal
import sys
import time
from dataclasses import replace
from typing import Final

from proxy.cli.main import main as run
from proxy.concurrency.backoff import Backoff
from proxy.errors import NoRoom, StoreUnavailable
from proxy.jobs.retry_policies import RETRY_POLICIES
from proxy.removal.takedowns import Takedowns
from proxy.stores.probe.gate import StoreGate
from proxy.webhooks.dispatcher import Dispatcher
from proxy.webhooks.outbox import Outbox

LEASE_SECONDS: Final = 4
"""How long a job may go without a heartbeat: long enough for a machine that has much else to do."""

KNOWN_SECONDS: Final = 0.3
"""How long a derivative that was found counts as present."""

WAITS: Final = {
    "proxy.queues.heartbeats.HEARTBEAT_SECONDS": LEASE_SECONDS,
    "proxy.queues.base.HEARTBEAT_SECONDS": LEASE_SECONDS,
    "proxy.queues.worker.HEARTBEAT_SECONDS": LEASE_SECONDS,
    "proxy.queues.worker.HEARTBEAT_INTERVAL_SECONDS": 0.5,
    "proxy.queues.worker.SWEEP_SECONDS": 0.5,
    "proxy.queues.worker.POLL_SECONDS": 0.3,
    "proxy.queues.circuit_breaker.PAUSE_SECONDS": 0.2,
    "proxy.queues.circuit_breaker.OPEN_SECONDS": 0.2,
    "proxy.webhooks.dispatcher.BUSY_RECEIVER": Backoff(first_seconds=0.1, longest_seconds=0.5),
    "proxy.stores.probe.write_probe.PROBE_SECONDS": 3.0,
    "proxy.app.wiring.KNOWN_SECONDS": KNOWN_SECONDS,
    "proxy.app.wiring.ABSENT_SECONDS": KNOWN_SECONDS,
}
"""Constants of the service, and what they are here."""

RETRY_SECONDS, RETRIES = 0.3, 1000
"""The wait before a job is tried again, and how often what waits for the end of a fault is tried."""

MISSES = 3
"""How often a job tries at most what no end of a fault helps, such as to find an original that is not there."""

WATCH_SECONDS = 1.0
"""After that, a callback that nobody put into the outbox is found."""

PATIENCE: Final = "PATIENT_SECONDS"
"""The variable with the seconds for what else is given up soon; a machine that has much else to do needs more."""

GIVEN_UP: Final = ("proxy.jobs.takedown.tombstones.VIEW_SECONDS", "proxy.stores.probe.write_probe.PROBE_SECONDS")
"""Constants that it sets."""

FAKED = "FAKETIME_TIMESTAMP_FILE"
"""The variable that is set if the clock can be changed; see `tests.machine.clock`."""

PR_SET_PDEATHSIG = 1
LAZY = ("proxy.webhooks.client", "proxy.stores.s3.store", "proxy.queues.redis", "proxy.queues.postgres")
"""What a service imports only when it needs it."""


def shorten_waits() -> None:
    """Set the waits of the service; a name that it no longer has is an error."""
    patience = {name: float(os.environ[PATIENCE]) for name in GIVEN_UP if PATIENCE in os.environ}
    for name, wait in {**WAITS, **patience}.items():
        module, _, constant = name.rpartition(".")
        place = importlib.import_module(module)
        if not hasattr(place, constant):
            raise AttributeError(name)
        setattr(place, constant, wait)
    for kind, policy in RETRY_POLICIES.items():
        attempts = RETRIES if kind in (StoreUnavailable, NoRoom) else min(policy.attempts, MISSES)
        shorter = replace(policy, attempts=attempts, first_seconds=RETRY_SECONDS, longest_seconds=RETRY_SECONDS)
        RETRY_POLICIES[kind] = shorter  # type: ignore[index] # a mapping to all others
    _set_default(Dispatcher, "waits_seconds", (RETRY_SECONDS,) * RETRIES)
    _set_default(Takedowns, "waits", Backoff(first_seconds=RETRY_SECONDS, longest_seconds=RETRY_SECONDS))
    _set_default(Outbox, "watch_seconds", WATCH_SECONDS)
    _set_default(StoreGate, "failed", Backoff(first_seconds=RETRY_SECONDS, longest_seconds=RETRY_SECONDS))
    _set_default(StoreGate, "refusal_seconds", RETRY_SECONDS)


def _set_default(made: type, name: str, value: object) -> None:
    defaults = made.__init__.__kwdefaults__  # type: ignore[misc] # no instance
    if name not in defaults:
        raise AttributeError(name)
    defaults[name] = value


def sleep(seconds: float) -> None:
    """Sleep; Python's own way, until a time of the monotonic clock, raises an error under libfaketime 0.9.10."""
    select.select((), (), (), seconds)


def serve_orders() -> None:
    """Fork a service at each order, until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets services that end
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _become_service(line.strip())
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become_service(log: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    status = 1
    try:
        run(["serve"], prog_name="gf-images")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(status)


if __name__ == "__main__":
    for module in LAZY:
        importlib.import_module(module)
    shorten_waits()
    if FAKED in os.environ:
        time.sleep = sleep  # type: ignore[assignment] # takes no other numbers
    serve_orders()
