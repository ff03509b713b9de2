"""Who goes first where processors are short."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

NICER = 10
"""How much nicer: where both want one processor, the nicer gets about a tenth of it."""


def give_way(pid: int) -> None:
    """Leave the processors to this process and its like: the other one takes what they do not need."""
    with suppress(OSError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, pid, os.nice(0) + NICER)
        # Kernels may share out between sessions before that (man 7 sched, "The autogroup feature"); not all do.
        Path(f"/proc/{pid}/autogroup").write_text(str(NICER), encoding="ascii")
