"""The picture that errors of page views have as their body, for callers that display pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from litestar import Response
from litestar.datastructures.headers import Accept

from pipeline.formats.registry import content_type_of
from proxy.http.problems import PROBLEM, answer_error
from proxy.http.protocol.raw_paths import READING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from litestar import Request
    from litestar.datastructures import State

VARY: Final = "Accept, Sec-Fetch-Dest"
"""The headers of a request that decide whether it gets the picture."""

_READ_BY_PEOPLE: Final = "text/html"


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackImage:
    """The picture of `FALLBACK_IMAGE`: its bytes and their content type."""

    body: bytes
    content_type: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the picture in a file that the settings have accepted."""
        body = path.read_bytes()
        return cls(body=body, content_type=content_type_of(body) or "")

    def is_wanted(self, headers: Mapping[str, str]) -> bool:
        """Return whether the caller displays pictures: by `Sec-Fetch-Dest`, or without it by an `Accept` for images."""
        if destination := headers.get("sec-fetch-dest"):
            return destination == "image"
        try:
            # At equal quality, problems and pages win.
            best = Accept(headers.get("accept", "")).best_match([PROBLEM, _READ_BY_PEOPLE, self.content_type])
        except (ValueError, OverflowError):  # such as a quality of infinity
            return False
        return best == self.content_type


def answering(
    fallback: FallbackImage | None, *, template: str
) -> Callable[[Request[object, object, State], Exception], Response[bytes]]:
    """Return a handler of errors that answers reads of the route `template` with the picture, if there is one.

    Status, caching and all other headers stay those of the problem.
    """
    if fallback is None:
        return answer_error

    def answer(request: Request[object, object, State], error: Exception) -> Response[bytes]:
        problem = answer_error(request, error)
        if request.scope.get("path_template") != template or request.method not in READING:
            return problem
        problem.headers["Vary"] = VARY
        if not fallback.is_wanted(request.headers):
            return problem
        return Response(
            fallback.body,
            status_code=problem.status_code,
            headers=problem.headers,
            media_type=fallback.content_type,
        )

    return answer
