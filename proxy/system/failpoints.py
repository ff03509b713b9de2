"""Failpoints: named steps at which a test can kill or stop this process.

`FAILPOINTS` names a file. When the process reaches a point, and the file contains `<point> <action>`, the file is
removed and the action is taken, so an order strikes once and a test can give orders to a running process. With
`<point> <action> <key>`, only the work on that original counts. Without the variable, a point is a call of an empty
function.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE: Final = "FAILPOINTS"
"""The environment variable; it is never set in production, and no setting of the service."""

Point = Literal[
    "upload-stored",
    "job-enqueued",
    "job-started",
    "original-rendered",
    "derivative-due",
    "derivative-put",
    "derivatives-made",
    "job-ended",
    "jobs-taken-over",
    "tombstone-stored",
    "takedown-removed",
    "takedown-purged",
]
"""A step of a job.

- `upload-stored`: the store has an uploaded original, and its job is not queued yet
- `job-enqueued`: the queue has stored the job, and the 202 is not sent yet
- `job-started`: a worker has taken the job, and has read nothing yet
- `original-rendered`: the derivatives are on the disk of this machine, and none is uploaded yet
- `derivative-due`: the original was still there and not taken down, and one derivative is uploaded next
- `derivative-put`: the store has confirmed one derivative, and others may be missing
- `derivatives-made`: the store has confirmed all derivatives, and the job is not done yet
- `job-ended`: the queue has stored the end of the job, and its callback is not in the outbox yet
- `jobs-taken-over`: the queue has jobs of silent workers back, and nothing of it is logged yet
- `tombstone-stored`: the queue has a tombstone, and its takedown is not queued yet
- `takedown-removed`: the store has nothing of a picture any longer, and the CDN may
- `takedown-purged`: nor has the CDN, as it reports, if there is one, and the public addresses are not checked yet
"""

ACTIONS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def armed(path: Path) -> Callable[[Point, str], None]:
    """Return the function that takes the action in the file at `path`, if its order is for that point and original."""

    def reach(point: Point, key: str) -> None:
        with suppress(FileNotFoundError):
            ordered, _, rest = path.read_text(encoding="utf-8").strip().partition(" ")
            action, _, only = rest.partition(" ")
            if ordered == point and only in ("", key):
                path.unlink()
                os.kill(os.getpid(), ACTIONS[action])

    return reach


def _pass(_point: Point, _key: str) -> None:
    """Do nothing."""


reached: Callable[[Point, str], None] = armed(Path(os.environ[VARIABLE])) if VARIABLE in os.environ else _pass
"""Called at each point, with the key of the original, or an empty one where several may be concerned.

Which function it is, the environment decides when the module is imported.
"""
