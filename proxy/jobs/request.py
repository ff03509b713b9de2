"""What is asked for when a job is posted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What is asked for: derivatives of an original, `sizes` of them or all; with `force` also those that are fresh.

    `callback_url` is told when the job has ended; empty is nobody. A `batch` is one of many that nobody waits for.
    """

    key: str
    sizes: tuple[str, ...] = ()
    force: bool = False
    callback_url: str = ""
    batch: bool = False

    def covers(self, other: JobRequest) -> bool:
        """Tell whether all that the other order asks for is done once this one is."""
        return (
            self.key == other.key
            and (not self.sizes or (bool(other.sizes) and set(other.sizes) <= set(self.sizes)))
            and (self.force or not other.force)
            and (other.batch or not self.batch)
            and other.callback_url in ("", self.callback_url)
        )
