"""What happened to one object of a bucket, as its store describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Change = Literal["created", "removed", "other"]
"""Whether an object was written or deleted; `other` is about its tags or rights, or about a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketEvent:
    """A change of one object; `key` is decoded, and as untrusted as the rest of the body."""

    bucket: str
    key: str
    change: Change
