"""The service believes no facts: each field's type, length and range is checked, and nothing of a forgery is logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import structlog

from pipeline.facts_model import Camera, Exposure, Facts, Lens, Place
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.errors import ProcessDied, UnexpectedError
from proxy.rendering.answers import MOST_SIDE, check_facts
from proxy.rendering.pool import PROBE_BYTES, RenderPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FACTS = Facts(
    format="jpeg",
    width=4000,
    height=3000,
    taken_at="2021-04-11T15:47:53.054-05:00",
    camera=Camera(make="Gall", model="Camera"),
    lens=Lens(model="Lens"),
    exposure=Exposure(seconds=0.004, f_number=2.8, iso=100, bias=-0.33, flash=False),
    place=Place(latitude=52.5, longitude=-13.25, altitude=-2.5, accuracy=5.0),
    creator="Ann",
    copyright="© Ann",
    licence="https://example.org/by",
    caption="A gall\non an oak",
    uncertain={"taken_at": ("other-offset",), "caption": ("cut", "comment")},
)

INFINITE, NAN = float("inf"), float("nan")


def test_honest_facts_are_believed() -> None:
    check_facts(FACTS)
    check_facts(Facts(format="png", width=1, height=MOST_SIDE))
    check_facts(Facts(format="png", width=2_000_000, height=1))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("format", ("svg", "", "JPEG", "<script>")),
        ("width", (0, -1, MOST_SIDE + 1)),
        ("height", (0, 1 << 62)),
        ("taken_at", ("", "yesterday", "2021-13-01", "2021-02-30T00:00:00", "0000-00-00", "1600-01-01",
                      "2021-04-11 15:47", "2021-04-11T25:00:00",
                      "2021-04-11T15:47:53-05:00\n", "2021-04-11T15:47:53.1234567", "٢٠٢١-04-11")),
        ("creator", ("", " ", "a\nb", "a\x1b[2J", "x" * 501, "a\u202eb", "\0", "a\x85b")),
        ("copyright", ("", "x" * 501)),
        ("licence", ("\n", "x" * 501)),
        ("caption", ("", "\n\n", "x" * 4001, "a\rb", "a\x00b", "a\u2028b")),
        ("camera", (Camera(make=""), Camera(model="x" * 201), Camera(make="a\x07"))),
        ("lens", (Lens(make="a\nb"), Lens(model=" "))),
        ("exposure", (Exposure(seconds=0.0), Exposure(seconds=INFINITE), Exposure(seconds=NAN), Exposure(f_number=-1.0),
                      Exposure(iso=0), Exposure(iso=1 << 60), Exposure(bias=1e9), Exposure(focal_length=1e300),
                      Exposure(focal_length_35mm=0.0))),
        ("place", (Place(latitude=900.0, longitude=0.0), Place(latitude=NAN, longitude=0.0),
                   Place(latitude=0.0, longitude=-180.1), Place(latitude=1.0, longitude=1.0, altitude=1e12),
                   Place(latitude=1.0, longitude=1.0, accuracy=-1.0), Place(latitude=0.0, longitude=0.0))),
        ("uncertain", ({"taken_at": ()}, {"taken_at": ("cut",) * 2})),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_as_good_as_no_answer(field: str, values: tuple[object, ...]) -> None:
    for value in values:
        with pytest.raises(ProcessDied):
            check_facts(msgspec.structs.replace(FACTS, **{field: value}))


def test_a_doubt_about_what_is_not_there_is_forged() -> None:
    with pytest.raises(ProcessDied):
        check_facts(Facts(format="png", width=1, height=1, uncertain={"place": ("datum",)}))


@pytest.fixture(scope="module")
async def forging() -> AsyncIterator[RenderPool]:
    """Yield a pool whose children run their originals."""
    pool = RenderPool(
        admission=Admission(slots=1, budget_bytes=PROBE_BYTES),
        deadline_seconds=30,
        module="tests.proxy.rendering.forger",
    )
    await pool.start()
    yield pool
    await pool.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "code",
    [
        "os._exit(0)",
        "forger.say('no JSON')",
        "forger.finish()",
        'forger.say(\'{"type": "facts-read"}\')',
        "forger.facts(format='evil')",
        "forger.facts(width='240')",
        "forger.facts(width=1e400)".replace("1e400", "float('1e308') * 10"),
        "forger.facts(place={'latitude': 900, 'longitude': 0})",
        "forger.facts(place={'latitude': 52.5})",
        "forger.facts(creator='x' * 60_000)",
        "forger.facts(creator=5)",
        "forger.facts(uncertain={'evil': ['cut']})",
        "forger.facts(taken_at='evil')",
        "forger.facts(caption='a' * 100_000)",
        'forger.say(\'{"type": "facts-read", "facts": {"creator": "\\\\ud800"}}\')',
        'forger.say(\'{"type": "refusal", "code": "evil", "detail": "evil"}\')',
    ],
)
async def test_a_forged_answer_of_a_child_is_as_good_as_none(forging: RenderPool, tmp_path: Path, code: str) -> None:
    path = tmp_path / "original"
    path.write_text(code)
    with structlog.testing.capture_logs() as lines, pytest.raises((ProcessDied, UnexpectedError)) as caught:
        await forging.read_facts(path, Ticket(Priority.JOB))
    assert "evil" not in str(caught.value)
    assert "evil" not in str([line for line in lines if line["event"] != "render_process_stderr"])
    assert forging._admission.reserved_bytes == 0  # noqa: SLF001 - the slot is free again


@pytest.mark.anyio
async def test_an_honest_child_is_believed_and_has_the_memory_of_a_probe(forging: RenderPool, tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_text("forger.facts(creator='Ann')")
    found = await forging.read_facts(path, Ticket(Priority.JOB))
    assert (found.creator, found.width) == ("Ann", 240)
    # The budget of this pool has the bytes of one probe, so no more were reserved.
