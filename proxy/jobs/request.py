"""The request that creates a job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A request for derivatives of one original: the sizes in `sizes`, or all of them if that is empty.

    It has the same form over HTTP (without `batch`) and in the queue. With `force`, fresh derivatives are rendered
    again as well. `callback_url` is called when the job has ended; if empty, no callback is sent. A `batch` job is one
    of many that no client waits for. With `takes_down`, the original and everything of it is removed instead.
    """

    key: str
    sizes: tuple[str, ...] = ()
    force: bool = False
    callback_url: str = ""
    batch: bool = False
    takes_down: bool = False

    def covers(self, other: JobRequest) -> bool:
        """Return whether completing this request completes the other one too."""
        return (
            self.key == other.key
            and self.takes_down == other.takes_down
            and (not self.sizes or (bool(other.sizes) and set(other.sizes) <= set(self.sizes)))
            and (self.force or not other.force)
            and (other.batch or not self.batch)
            and other.callback_url in ("", self.callback_url)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submitted request, the id for its job, and the ids under which its message may have a job already."""

    request: JobRequest
    job_id: str
    known_ids: tuple[str, ...] = ()
    request_id: str
    replays: tuple[str, ...] = ()
    posted_at: int | None = None
    """When the message was signed (epoch seconds), if it may end a tombstone."""
