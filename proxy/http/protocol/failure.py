"""Why a request failed, as its line of the log has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from litestar.types import Scope

SHOWN_CHARACTERS: Final = 1000
"""The maximum length of a logged detail, which may quote what the client sent."""

_FAILURE: Final = "gf_images_failure"
"""The key in the ASGI scope under which the middleware finds the failure."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The stable code of an error, and what is wrong for the operator: more than the client may learn."""

    code: str
    detail: str


def note_failure(scope: Scope, code: str, detail: str) -> None:
    """Keep why a request fails in its scope."""
    cast("MutableMapping[str, object]", scope)[_FAILURE] = Failure(code, detail[:SHOWN_CHARACTERS])


def failure_of(scope: Scope) -> Failure | None:
    """Return why a request failed, or None if that is not known."""
    return cast("MutableMapping[str, Failure]", scope).get(_FAILURE)
