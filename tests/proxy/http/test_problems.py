"""The response to every error."""

from __future__ import annotations

import msgspec
import pytest
import structlog
from litestar.testing import RequestFactory

from pipeline import errors as pixels
from proxy import errors
from proxy.http.problems import Problem, answer_error
from tests.proxy.http.conftest import Site  # noqa: TC001 - pytest reads fixtures by name alone

MINUTE, HALF, NEVER = "public, max-age=60", "public, max-age=30", "no-store"


@pytest.mark.parametrize(
    ("error", "status", "cache_control", "retries"),
    [
        (errors.BadKey("no"), 400, MINUTE, False),
        (errors.BadCursor("no"), 400, NEVER, False),
        (errors.BadSignature("no"), 401, NEVER, False),
        (errors.UnknownSize("no"), 404, MINUTE, False),
        (errors.NotFound("no"), 404, HALF, False),
        (errors.UnknownJob("no"), 404, NEVER, False),
        (errors.TooManyBytes("no"), 413, MINUTE, False),
        (errors.UnknownJobSize("no"), 422, NEVER, False),
        (pixels.NotAnImage("no"), 422, MINUTE, False),
        (pixels.Corrupt("no"), 422, MINUTE, False),
        (pixels.UnsupportedFormat("no"), 422, MINUTE, False),
        (pixels.TooManyPixels("no"), 422, MINUTE, False),
        (pixels.NeedsTooMuchMemory("no"), 422, MINUTE, False),
        (errors.ProcessDied("no"), 500, NEVER, False),
        (errors.DiedAgain("no"), 422, NEVER, False),
        (errors.PreconditionFailed("no"), 412, NEVER, False),
        (errors.OutOfRange("no", total=1), 416, NEVER, False),
        (errors.StoreUnavailable("no"), 502, NEVER, True),
        (errors.StoreUnavailable("/a/path"), 502, NEVER, True),
        (errors.StoreRefused("/a/path"), 502, NEVER, True),
        (errors.Busy("no", retry_after_seconds=3), 503, NEVER, True),
        (errors.QueueUnavailable("/a/path"), 503, NEVER, True),
        (errors.NoRoom("/a/path"), 503, NEVER, True),
        (errors.UnexpectedError("/a/path"), 500, NEVER, False),
        (errors.DeadlineExceeded("no"), 504, NEVER, False),
        (errors.ImagesError("no"), 500, NEVER, False),
        (ValueError("/a/path"), 500, NEVER, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_is_answered_as_the_table_says(
    error: Exception, status: int, cache_control: str, *, retries: bool
) -> None:
    answer = answer_error(RequestFactory().get("/"), error)
    problem = msgspec.json.decode(answer.content, type=Problem)
    assert (answer.status_code, problem.status) == (status, status)
    assert answer.headers["Cache-Control"] == cache_control
    assert ("Retry-After" in answer.headers) == retries
    assert problem.type.startswith("/problems/")
    assert "/a/path" not in problem.detail


def test_the_answer_to_a_post_is_never_kept() -> None:
    answer = answer_error(RequestFactory().post("/"), errors.BadKey("no"))
    assert answer.headers["Cache-Control"] == NEVER


def test_internals_are_logged_for_the_operator_and_hidden_from_the_caller() -> None:
    for error in (
        errors.StoreUnavailable("at http://10.0.0.1"),
        errors.StoreRefused("Check AWS_SECRET_ACCESS_KEY."),
        errors.ProcessDied("The render process ended with status -9 before it responded."),
    ):
        with structlog.testing.capture_logs() as logs:
            answer = answer_error(RequestFactory().get("/"), error)
        problem = msgspec.json.decode(answer.content, type=Problem)
        assert problem.type == f"/problems/{error.code}"
        assert str(error) not in problem.detail
        assert logs == [{"event": "request_failed", "log_level": "error", "code": error.code, "detail": str(error)}]


@pytest.mark.anyio
async def test_what_the_framework_refuses_says_what_to_do(site: Site) -> None:
    answers = [
        await site.client.get("/nowhere"),
        await site.client.delete("/v1/jobs"),
        await site.client.post("/v1/jobs", content=b" " * 70_000),
    ]
    assert [answer.status_code for answer in answers] == [404, 405, 413]
    for answer in answers:
        problem = msgspec.json.decode(answer.content, type=Problem)
        assert problem.title not in problem.detail
        assert len(problem.detail) > len(problem.title) + 20
