"""Who goes first where processors are short, and last where memory is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FIRST_TO_GO = 1000
"""The kernel's highest score: where memory runs out all the same it ends a render process, not the service."""

NICER = 10
"""How much nicer: where both want one processor, the nicer gets about a tenth of it."""


def give_way(pid: int) -> None:
    """Have the other process take what processors this one and its like do not need, and give memory back first."""
    with suppress(OSError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, pid, os.nice(0) + NICER)
        # Kernels may share out between sessions before that (man 7 sched, "The autogroup feature"); not all do.
        Path(f"/proc/{pid}/autogroup").write_text(str(NICER), encoding="ascii")
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
