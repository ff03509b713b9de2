"""What each problem type means, and what its caller can do: for the pages below `/problems`, and for documents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from pipeline.errors import BY_CODE, Refused
from proxy.errors import ImagesError
from proxy.http.problem_words import WORDS
from proxy.http.problems import ROWS, ProblemRow
from proxy.http.protocol import rejections
from proxy.http.protocol.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.http.problem_words import Retry

RETRIES: Final[Mapping[Retry, str]] = {
    "no": "Do not retry: the response stays the same.",
    "changed": "Change what the detail names first; the same request fails again.",
    "uploaded": "The same request fails again, unless the original was uploaded just now: then retry in half a minute.",
    "later": "Retry the same request later. If the response has a `Retry-After` header, wait that many seconds.",
}
"""Whether to send the request again, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemType:
    """A problem type: its statuses in responses, its title, and what it means for the caller.

    `statuses` is empty if only jobs and commands end with this code.
    """

    code: str
    title: str
    statuses: tuple[int, ...]
    meaning: str
    remedy: str
    retry: Retry

    @property
    def path(self) -> str:
        """The `type` of the problem, at which its page is served."""
        return f"/problems/{self.code}"


@cache
def catalog() -> Mapping[str, ProblemType]:
    """Return every problem type by its code, in alphabetical order."""
    known = _known()
    return {code: _entry(code, known.get(code, ("", ()))) for code in sorted(WORDS)}


def _entry(code: str, known: tuple[str, tuple[int, ...]]) -> ProblemType:
    meaning, remedy, retry = WORDS[code]
    title, statuses = known
    return ProblemType(
        code=code,
        title=title or code.replace("-", " ").capitalize(),
        statuses=statuses,
        meaning=meaning,
        remedy=remedy,
        retry=retry,
    )


def _known() -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return titles and statuses by code, from the tables of those who respond."""
    kinds = sorted(_tree(ImagesError), key=lambda kind: kind not in ROWS)  # their own titles before those of parents
    rows = [(kind.code, row.title, row.status) for kind in kinds if (row := _row(kind))]
    rows += [(code, ROWS[Refused].title, ROWS[Refused].status) for code in BY_CODE]
    rows += [
        (one.reason, one.title, int(one.status)) for one in vars(rejections).values() if isinstance(one, Rejection)
    ]
    rows += [("-".join(title.lower().split()), title, status) for status, title in _BY_FRAMEWORK.items()]
    rows.append(("internal", "Internal error", 500))
    known: dict[str, tuple[str, tuple[int, ...]]] = {}
    for code, title, status in rows:
        first, statuses = known.get(code, (title, ()))
        known[code] = first, tuple(sorted({*statuses, status}))
    return known


def _tree(root: type[ImagesError]) -> list[type[ImagesError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


def _row(kind: type[ImagesError]) -> ProblemRow | None:
    """Return the row of an error; None if only the row of all errors applies, as no response has such an error."""
    applies = next(other for other in ROWS if issubclass(kind, other))
    return None if applies is ImagesError and kind is not ImagesError else ROWS[applies]


_BY_FRAMEWORK: Final = {400: "Bad request", 405: "Method not allowed", 413: "Request entity too large"}
