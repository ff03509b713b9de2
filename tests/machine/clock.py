"""The clock of a machine, which can be set while its processes run: through libfaketime, where that is installed."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DAY_SECONDS: Final = 86_400

STEPS_SECONDS: Final = (-DAY_SECONDS, 3600)
"""How far a clock may be off: far enough that a time in a log shows by which of them, in a run of an hour."""

LIBRARIES: Final = "lib/*/faketime/libfaketime.so.1"
"""Where Debian's package libfaketime puts the library, below /usr."""


def library() -> Path | None:
    """Return the path of libfaketime; None if it is not installed."""
    return next(iter(sorted(Path("/usr").glob(LIBRARIES))), None)


@dataclass
class Clock:
    """A clock that processes with its `environment` read; the monotonic clocks stay as they are."""

    file: Path
    """The file that has the offset; the processes read it whenever they read the clock."""
    offset_seconds: int = 0
    """How far it is off."""
    changed_at: float = 0.0
    """When it was last set (monotonic seconds)."""

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a process that has this clock; none without the library."""
        path = library()
        if path is None:
            return {}
        self.set(0)
        return {
            "LD_PRELOAD": str(path),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Otherwise each wait for a condition ends at once: a thread that waits for the interpreter takes a core.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",  # the times of files are those of the kernel
        }

    def set(self, offset_seconds: int) -> None:
        """Set the clock that far off."""
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{offset_seconds:+d}\n")
        draft.replace(self.file)
        self.offset_seconds, self.changed_at = offset_seconds, time.monotonic()

    def now(self) -> float:
        """Return its time, in seconds since the epoch."""
        return time.time() + self.offset_seconds


def true_time(told: float, *, began: float, ended: float) -> float:
    """Return when something happened that a process logged at `told`, which began and ended at true times."""
    offsets = (0, *STEPS_SECONDS)
    return next((told - offset for offset in offsets if began - 1 <= told - offset <= ended + 1), told)


def remove_shared_memory(pid: int) -> None:
    """Remove what the library leaves behind of a process that has forked."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        with suppress(FileNotFoundError):
            Path("/dev/shm", name).unlink()  # noqa: S108 - where the C library keeps it
