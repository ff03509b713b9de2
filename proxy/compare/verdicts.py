"""Which derivatives a comparison let pass, read from its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from proxy.errors import CannotStart

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What was compared, and what of it did not pass; whatever was not compared has not passed."""

    originals: frozenset[str]
    sizes: frozenset[str]
    failed: frozenset[tuple[str, str]]

    def has_passed(self, original: str, size: str) -> bool:
        """Tell whether a size of an original was compared, and is as it should be."""
        return original in self.originals and size in self.sizes and (original, size) not in self.failed


class _Cause(msgspec.Struct):
    code: str


class _Finding(msgspec.Struct):
    key: str
    size: str
    causes: list[_Cause]


class _Asked(msgspec.Struct):
    sizes: list[str]


class _Ended(msgspec.Struct):
    is_finished: bool


class _Document(msgspec.Struct):
    asked: _Asked
    ended: _Ended
    findings: list[_Finding]
    originals: list[str]


def read_verdicts(report: Path, *, allowed: frozenset[str]) -> Verdicts:
    """Read the folder of a report; what has only causes that are `allowed` has passed.

    Raises:
        CannotStart: there is none, or the comparison did not come to its end.
    """
    try:
        document = msgspec.json.decode((report / DOCUMENT).read_bytes(), type=_Document)
    except (OSError, msgspec.DecodeError) as fault:
        raise CannotStart(f"--report: {report / DOCUMENT} is no report of a comparison ({fault}).") from fault
    if not document.ended.is_finished:
        raise CannotStart(f"--report: the comparison in {report} did not come to its end; go on with it first.")
    return Verdicts(
        originals=frozenset(document.originals),
        sizes=frozenset(document.asked.sizes),
        failed=frozenset(
            (one.key, one.size) for one in document.findings if {cause.code for cause in one.causes} - allowed
        ),
    )
