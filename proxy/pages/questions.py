"""What `/schema` asks before it sends a request that deletes, or that acts on more than one job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, what follows from a yes, and the button for it."""

    title: str
    effect: str
    button: str


QUESTIONS: Final[Mapping[str, Question]] = {
    "replayJobs": Question(
        title="Run many jobs again?",
        effect="Failed jobs that the parameters select are queued again, newest first, up to the limit.",
        button="Run them again",
    ),
    "cancelJob": Question(
        title="Cancel this job?",
        effect="It ends as failed, even while it renders. It can be run again.",
        button="Cancel the job",
    ),
    "pauseQueue": Question(
        title="Pause the queue?",
        effect="No machine starts a job until the queue is resumed, also after a restart.",
        button="Pause the queue",
    ),
    "purgeDerivatives": Question(
        title="Delete all derivatives of this original?",
        effect="They are deleted from the store. The next page view renders them again.",
        button="Delete them",
    ),
    "takeDown": Question(
        title="Take this picture down?",
        effect="Its original, in all its versions, and all files with names of derivatives are deleted for ever.",
        button="Take it down",
    ),
}
"""By the names of operations."""
