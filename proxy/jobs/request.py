"""What is asked for when a job is posted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """Derivatives of one original: `sizes` of them, or all; with `force` also those that are fresh.

    The one form of a job on its way in: over HTTP (without `batch`) and in the queue. `callback_url` is called when the
    job has ended; empty calls nobody. A `batch` job is one of many that nobody waits for.
    """

    key: str
    sizes: tuple[str, ...] = ()
    force: bool = False
    callback_url: str = ""
    batch: bool = False

    def covers(self, other: JobRequest) -> bool:
        """Return whether this request, once done, leaves nothing of the other one to do."""
        return (
            self.key == other.key
            and (not self.sizes or (bool(other.sizes) and set(other.sizes) <= set(self.sizes)))
            and (self.force or not other.force)
            and (other.batch or not self.batch)
            and other.callback_url in ("", self.callback_url)
        )
