"""The derivatives that passed a comparison, read from its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from proxy.bulk.compare.findings import STORE, ComparedKeys, identity
from proxy.bulk.options import BadOption, OtherOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from proxy.stores.base import Blob

DOCUMENT = "report.json"


class OtherSides(OtherOptions):
    """The comparison was of other sides than those to be promoted; the message states the difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSides:
    """The sides that must have been compared: the live names with the prefix `shadow`, both of `store`."""

    store: str
    shadow: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """The derivatives that were compared, and those that failed; one that was not compared has not passed."""

    originals: Mapping[str, str]
    """The identities of the new derivatives, by the key of the original: see `ComparedKeys`."""
    sizes: tuple[str, ...]
    failed: frozenset[tuple[str, str]]

    def has_passed(self, original: str, size: str) -> bool:
        """Return whether a size of an original was compared and passed."""
        return original in self.originals and size in self.sizes and (original, size) not in self.failed

    def is_of(self, original: str, size: str, new: Blob) -> bool:
        """Return whether `new` is the derivative that was compared, not a later one."""
        return self.originals[original].split(" ")[self.sizes.index(size)] == identity(new)


class _Cause(msgspec.Struct):
    code: str


class _Finding(msgspec.Struct):
    key: str
    size: str
    causes: list[_Cause]


class _Asked(msgspec.Struct):
    store: str
    old: str
    new: str
    sizes: tuple[str, ...]


class _Ended(msgspec.Struct):
    is_finished: bool


class _Document(msgspec.Struct):
    asked: _Asked
    ended: _Ended
    findings: list[_Finding]
    originals: list[ComparedKeys]


def read_verdicts(report: Path, *, allowed: frozenset[str], compared: ComparedSides) -> Verdicts:
    """Return the verdicts of the report in a folder; a derivative whose causes are all `allowed` has passed.

    Raises:
        BadOption: the report cannot be read, or the comparison is unfinished.
        OtherSides: the comparison was of other sides than `compared`.
    """
    try:
        document = msgspec.json.decode((report / DOCUMENT).read_bytes(), type=_Document)
    except OSError as fault:
        raise BadOption(
            f"--report: cannot read {report / DOCUMENT} ({fault.strerror}). Use the folder that `gf-images compare "
            "--report` has written."
        ) from fault
    except msgspec.DecodeError as fault:
        raise BadOption(
            f"--report: {report / DOCUMENT} is not a report of a comparison ({fault}). Use the folder that `gf-images "
            "compare --report` has written."
        ) from fault
    if not document.ended.is_finished:
        raise BadOption(
            f"--report: the comparison in {report} is not finished. Run the same `gf-images compare` to finish it."
        )
    _check_sides(report, document.asked, compared)
    return Verdicts(
        originals={one.key: one.new for one in document.originals},
        sizes=document.asked.sizes,
        failed=frozenset(
            (one.key, one.size) for one in document.findings if {cause.code for cause in one.causes} - allowed
        ),
    )


def _check_sides(report: Path, asked: _Asked, compared: ComparedSides) -> None:
    """Check both sides; an old side that is a URL or a folder may hold the live names, a prefix does not."""
    new = f"{STORE}{compared.shadow}"
    if asked.new != new:
        fault = f"its --new is {asked.new}, but by SHADOW_PREFIX it must be {new}"
    elif asked.old.startswith(STORE) and asked.old != STORE:
        fault = f"its --old is {asked.old}, but the live names are {STORE}"
    elif asked.store != compared.store:
        fault = f"it is of another store: {asked.store} instead of {compared.store}"
    else:
        return
    raise OtherSides(
        f"--report: the comparison in {report} does not cover what would be promoted: {fault}. Run "
        f"`gf-images compare --old {STORE} --new {new}` for this store first."
    )
