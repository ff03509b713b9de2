"""What NOTICE names, what is locked, and which licence each package says that it has."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NEVER = re.compile(r"(?<![L])GPL|AGPL|SSPL|BUSL|Commons Clause|Proprietary", re.IGNORECASE)
"""Licences that would bind this service itself, or whoever runs it."""

_NAMED = re.compile(r"^ {4}(?P<name>[a-z0-9._-]+) +(?P<licence>[A-Z][^(\n]*?) *(?:\((?P<note>.*)\))?$", re.MULTILINE)
_LOCKED = re.compile(r"^(?P<name>[a-z0-9._-]+)(?:\[[^]]*\])?==", re.MULTILINE)

SPOKEN = {
    "Academic Free License (AFL)": "AFL",
    "Apache Software License": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""As packages say it that were made before there were expressions of SPDX for it."""


def named(notice: str) -> dict[str, str]:
    """Give the licences of the packages that NOTICE's second part names."""
    part = notice.partition("\n2. ")[2].partition("\n3. ")[0]
    return {found["name"]: found["licence"] for found in _NAMED.finditer(part)}


def locked(requirements: str) -> set[str]:
    """Name the packages of a lock file."""
    return {found["name"] for found in _LOCKED.finditer(requirements)}


def said(package: str) -> str | None:
    """Give the licence that an installed package says it has; None where it is not installed here."""
    try:
        about = distribution(package).metadata
    except PackageNotFoundError:
        return None
    (expression,) = about.get_all("License-Expression") or [""]
    if expression:
        return str(expression)
    kinds = [kind.rpartition(" :: ")[2] for kind in about.get_all("Classifier") or [] if kind.startswith("License ::")]
    (text,) = about.get_all("License") or [""]
    told = str(text).strip().splitlines()
    return told[0] if told and told[0] != "Dual License" else " AND ".join(kinds)


def faults(notice: str, requirements: str, description: Mapping[str, str | None]) -> Iterator[str]:
    """Give what is wrong with NOTICE: who is not named, who is no more, whose licence is another or none we take."""
    there, licences = locked(requirements), named(notice)
    yield from (f"{name} is not named" for name in sorted(there - licences.keys()))
    yield from (f"{name} is named, and is not installed" for name in sorted(licences.keys() - there))
    for name, licence in licences.items():
        if NEVER.search(licence):
            yield f"{name}: {licence} is none that we can take"
        if (told := description.get(name)) and not _agree(licence, told):
            yield f"{name}: it says {told}, and NOTICE {licence}"


def _agree(licence: str, told: str) -> bool:
    ours, theirs = _parts(licence), _parts(told)
    return any(one.startswith(other) or other.startswith(one) for one in ours for other in theirs)


def _parts(licence: str) -> set[str]:
    return {SPOKEN.get(part.strip(), part.strip()) for part in re.split(r" AND | OR ", licence)}
