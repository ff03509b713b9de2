"""The service believes no answer of a child: with every field forged, nothing is published, and the next one works."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import prometheus_client
import pytest
import structlog

from pipeline import sentences
from pipeline.errors import BY_CODE, Corrupt, Refused, TooManyPixels
from pipeline.protocol import Compared, ImageInfo, Inspected, Limits, Made, Refusal, Render, Similarity, Summary
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.errors import ProcessDied, UnexpectedError
from proxy.rendering.answers import check_copies, checked_comparison
from proxy.rendering.child import TRACE_CHARACTERS
from proxy.rendering.pool import PROBE_BYTES, RenderPool
from proxy.rendering.refusals import CAUSE_CHARACTERS, refused
from tests.proxy.conftest import BUDGET_BYTES, ORIGINAL, SIZES, Workshop, open_workshop
from tests.proxy.rendering.forger import INFO, PICTURE, PREVIEW
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.derivatives.policy import GenerationPolicy

pytestmark = pytest.mark.anyio

EVIL = "</script>\x1b[2J\nevil"

HONEST = """
forger.probed()
for name in ("small", "large", "xlarge"):
    forger.made(name)
forger.finish()
"""

LINES = {
    "nothing": "os._exit(0)",
    "no JSON": "forger.say('no JSON')",
    "bytes": "forger.say(bytes(range(1, 9)) + bytes(range(128, 256)))",
    "another kind": "forger.finish()",
    "a kind of the fork server": """forger.say('{"type": "ready", "libvips": "9"}')""",
    "an unknown kind": """forger.say('{"type": "evil"}')""",
    "a line without an end": "while True: os.write(0, b'x' * 65536)",
    "nested": "forger.say('[' * 50000)",
    "a fault": """forger.say('{"type": "fault", "trace": "' + 'evil' * 5000 + '"}')""",
    "a probe after the probe": "forger.probed(); forger.probed()",
    "an end before the sizes": "forger.probed(); forger.finish()",
    "no end": HONEST.replace("forger.finish()", "os._exit(0)"),
    "a size twice": "forger.probed(); forger.made(); forger.made()",
    "an unknown size": "forger.probed(); forger.made('evil')",
    "a path as a size": "forger.probed(); forger.claim('../original')",
    "more sizes than wanted": HONEST.replace("forger.finish()", "forger.made()"),
}
"""What no protocol allows."""

FIELDS = {
    "format": ("svg", "", EVIL, "JPEG", 5, None),
    "width": (0, -1, 1 << 70, 1_000_000, 1e400, 0.5, "240", None, True),
    "height": (0, -1, 1 << 70, 1_000_000, "180", None),
    "bands": (0, -3, 1 << 40, "3"),
    "bits": (0, -8, 65, EVIL),
    "frames": (0, -1, 1001, 1 << 64, "1"),
    "orientation": (0, 9, -1, EVIL),
    "has_alpha": (2, "yes", None),
    "is_progressive": (1, "no", None),
    "render_bytes": (-1, 1 << 60, 1 << 80, 1e300, "1", None),
    "first_bytes": (-1, 1 << 60, 1e300, "1"),
}
"""Values that no field of a probe may have."""

WEBP = "data:image/webp;base64,"

PREVIEWS = {
    "color": ("", "#FFFFFF", "#12345", "#1234567", "red", "#12345g", "#123456\n", EVIL, 5, None),
    "lqip": (
        "",
        WEBP,
        WEBP + "UklGRg==",  # no WebP
        WEBP + b64encode(b"\xff\xd8\xff" + bytes(60)).decode(),
        WEBP + "?" * 80,
        PREVIEW.lqip + "\n",
        PREVIEW.lqip + "=",
        PREVIEW.lqip.replace("webp", "svg+xml"),
        WEBP + b64encode(b"RIFF\x64\0\0\0WEBPVP8 " + bytes(270)).decode(),  # 403 characters
        "https://evil.example/p.webp",
        EVIL,
        5,
        None,
    ),
    "thumbhash": ("", "AAAA", "AAAAAAB=", "A" * 36, "?" * 32, PREVIEW.thumbhash + "\n", EVIL, 5, None),
}
"""Values that no field of a preview may have."""

UNEXPECTED_PREVIEWS = {
    "no preview": '(forger.folder / \'small\').write_bytes(PICTURE); forger.say(\'{"type": "made", "size": "small"}\')',
    "a preview of another size": (
        "(forger.folder / 'large').write_bytes(PICTURE); "
        f"forger.say({msgspec.json.encode(Made(size='large', preview=PREVIEW)).decode()!r})"
    ),
}

FILES = {
    "no file": "",
    "a link": "place.symlink_to('/etc/passwd')",
    "a link to a picture": "aside.write_bytes(PICTURE); place.symlink_to('aside')",
    "a link to the environment": "place.symlink_to(f'/proc/{os.getppid()}/environ')",
    "a hard link": "aside.write_bytes(PICTURE); os.link(aside, place)",
    "a folder": "place.mkdir()",
    "a pipe": "os.mkfifo(place)",
    "a socket": "os.chdir(forger.folder); socket.socket(socket.AF_UNIX).bind('small')",
    "an empty file": "place.touch()",
    "a page": "place.write_bytes(b'<!DOCTYPE html><script>')",
    "another picture": "place.write_bytes(b'GIF89a' + bytes(600))",
    "a picture of another format": "place.write_bytes(b'\\xff\\xd8\\xff' + bytes(600))",
    "a huge file": "place.write_bytes(PICTURE); os.truncate(place, 200_000_000)",
    "a replaced folder": "os.rename(forger.folder, f'{forger.folder}-aside'); os.symlink('/etc', forger.folder)",
}
"""What a child may leave in place of a derivative."""

FORGERIES = [
    *(pytest.param(code, id=name) for name, code in LINES.items()),
    *(
        pytest.param(f"forger.probed({name}={value!r})".replace("inf", "float('1e308')"), id=f"{name}: {value!r:.20}")
        for name, values in FIELDS.items()
        for value in values
    ),
    *(pytest.param(f"forger.probed(); {code}\nforger.claim()", id=name) for name, code in FILES.items()),
    *(
        pytest.param(f"forger.probed(); forger.preview({name}={value!r})", id=f"{name}: {value!r:.40}")
        for name, values in PREVIEWS.items()
        for value in values
    ),
    *(pytest.param(f"forger.probed(); {code}", id=name) for name, code in UNEXPECTED_PREVIEWS.items()),
]


@pytest.fixture(scope="module")
async def forging() -> AsyncIterator[RenderPool]:
    """Yield a pool whose children run their originals."""
    admission = Admission(slots=1, budget_bytes=BUDGET_BYTES)
    pool = RenderPool(admission=admission, deadline_seconds=30, module="tests.proxy.rendering.forger")
    await pool.start()
    yield pool
    await pool.close()


def question(folder: Path, code: str) -> Render:
    path = folder / "original"
    path.write_text(code)
    return Render(path=str(path), folder=str(folder), sizes=SIZES)


def labels() -> set[str]:
    """Return all series of the service with their labels."""
    lines = prometheus_client.generate_latest().decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


@pytest.mark.parametrize("code", FORGERIES)
async def test_a_forged_answer_is_as_good_as_none(forging: RenderPool, tmp_path: Path, code: str) -> None:
    made: list[object] = []
    with structlog.testing.capture_logs() as lines, pytest.raises((ProcessDied, UnexpectedError)) as caught:
        await forging.render(question(tmp_path, code), Ticket(Priority.JOB), on_made=made.append)
    assert "evil" not in str(caught.value)
    assert all(len(str(line)) < TRACE_CHARACTERS + 200 for line in lines)
    assert len(made) <= len(SIZES)
    assert {path.name for path in tmp_path.iterdir() if path.suffix} <= {f"{size.name}.png" for size in SIZES}
    assert forging._admission.reserved_bytes == 0  # noqa: SLF001 - the slot is free again


async def test_after_all_forgeries_an_honest_child_is_believed(forging: RenderPool, tmp_path: Path) -> None:
    rendering = await forging.render(question(tmp_path, HONEST), Ticket(Priority.JOB))
    assert rendering.derived.info == INFO
    seen = [(one.size, one.width, one.height, one.bytes) for one in rendering.derived.derivatives]
    assert seen == [("small", 60, 45, 508), ("large", 240, 180, 508), ("xlarge", 240, 180, 508)]
    summaries = [one.summary for one in rendering.derived.derivatives]
    assert summaries == [Summary(width=240, height=180, format="png", animated=False, preview=PREVIEW), None, None]
    assert {one.content_type for one in rendering.derived.derivatives} == {"image/png"}
    assert {Path(one.path).parent for one in rendering.derived.derivatives} == {tmp_path}
    assert {path.name for path in tmp_path.iterdir()} == {"original", "small.png", "large.png", "xlarge.png"}


async def test_a_file_that_changes_after_its_answer_stays_what_it_was(forging: RenderPool, tmp_path: Path) -> None:
    code = """
forger.probed()
file = open(place, "wb", buffering=0)
file.write(PICTURE)
forger.claim()
while place.exists():  # until the service has taken it
    pass
file.seek(0)
file.write(b"<script>")
forger.made("large")
forger.made("xlarge")
forger.finish()
"""
    rendering = await forging.render(question(tmp_path, code), Ticket(Priority.JOB))
    content = Path(rendering.derived.derivatives[0].path).read_bytes()
    assert content == PICTURE


async def test_a_child_that_outlives_its_fork_server_is_killed_at_once(tmp_path: Path) -> None:
    code = """
import ctypes
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0)
aside.write_text(f"{os.getppid()} {os.getpid()}\\n")
while True:
    pass
"""
    admission = Admission(slots=1, budget_bytes=BUDGET_BYTES)
    pool = RenderPool(admission=admission, deadline_seconds=600, module="tests.proxy.rendering.forger")
    rendering = asyncio.create_task(pool.render(question(tmp_path, code), Ticket(Priority.JOB)))

    async def pids() -> list[int]:
        lines = "".join(path.read_text() for path in tmp_path.glob("*/aside"))
        return [int(word) for word in lines.split()] if lines.endswith("\n") else []

    server, child = await until(pids)
    descriptor = os.pidfd_open(child)
    os.kill(server, signal.SIGKILL)
    with pytest.raises(ProcessDied):
        await rendering
    await pool.close()
    ended, _, _ = select.select([descriptor], [], [], 30)
    os.close(descriptor)
    assert ended


async def test_a_low_prediction_reserves_what_a_probe_holds(tmp_path: Path) -> None:
    admission = Admission(slots=1, budget_bytes=PROBE_BYTES)
    pool = RenderPool(admission=admission, deadline_seconds=30, module="tests.proxy.rendering.forger")
    code = HONEST.replace("probed()", "probed(render_bytes=0)")
    held: list[int] = []
    try:
        await pool.render(
            question(tmp_path, code), Ticket(Priority.JOB), on_made=lambda _: held.append(admission.reserved_bytes)
        )
    finally:
        await pool.close()
    assert held == [PROBE_BYTES] * 3


@pytest.mark.parametrize("code", [*BY_CODE, "evil", "", "\n"])
@pytest.mark.parametrize("detail", [EVIL, sentences.DAMAGED, sentences.MEGAPIXELS.format(number="1e+03", limit=120)])
def test_only_our_own_sentences_and_codes_are_published(code: str, detail: str) -> None:
    refusal = Refusal(code=code, detail=detail, cause="evil" * 9999)
    if code not in BY_CODE:
        with pytest.raises(ProcessDied):
            refused(refusal)
        return
    fault = refused(refusal)
    assert type(fault) is BY_CODE[code]
    assert "evil" not in str(fault)
    assert (str(fault) == detail) == (detail != EVIL)
    assert len(fault.cause) == CAUSE_CHARACTERS


@pytest.mark.parametrize("value", ["evil", "9" * 99, "", "nan", "1 2", "JPEG evil"])
def test_values_in_sentences_are_numbers_in_range_and_words_of_lists(value: str) -> None:
    for sentence in sentences.ALL:
        fields = ("number", "limit", "reason", "titles", "title", "type", "sample", "kind")
        filled = sentence.format(**dict.fromkeys(fields, value))
        assert (str(refused(Refusal(code="corrupt", detail=filled))) == filled) == (
            "{" not in sentence or filled == sentences.DAMAGED
        )


async def test_nothing_of_a_forged_answer_is_published_or_becomes_a_series(
    forging: RenderPool, photo: Path, policy: GenerationPolicy, tmp_path: Path
) -> None:
    workshop: Workshop = open_workshop(forging, photo=photo, policy=policy)
    before = labels()
    for code in (
        f"forger.probed(format={EVIL!r})",
        """forger.say('{"type": "refusal", "code": "evil", "detail": "evil"}')""",
        "forger.probed(); forger.made('small', b'<script>')",
    ):
        path = tmp_path / "evil"
        path.write_text(code)
        await workshop.upload(path=path)
        result = await workshop.derivatives.generate(ORIGINAL)
        assert isinstance(result.fault, ProcessDied | Refused)
        assert "evil" not in str(result.fault)
        assert result.derivatives == ()
    assert workshop.calls["put"] == 0
    assert not [series for series in labels() - before if "evil" in series or "script" in series]
    path.write_text("""forger.say('{"type": "refusal", "code": "too-many-pixels", "detail": "evil"}')""")
    await workshop.upload(path=path)
    result = await workshop.derivatives.generate(ORIGINAL)
    assert isinstance(result.fault, TooManyPixels)
    assert "evil" not in str(result.fault)


SEEN = Inspected(info=INFO, traces=("gps",))
ALIKE = Similarity(turn="", score=90.0, hash_bits=1, colour=0.1, alpha=0.0, detail=1.0, profile="")
COMPARED = Compared(old=SEEN, new=SEEN, likeness=ALIKE, pictures={"old": "old.webp"})


def changed(info: ImageInfo = INFO, traces: tuple[str, ...] = (), **values: object) -> Compared:
    """Return a comparison with other values."""
    old = msgspec.structs.replace(SEEN, info=info, traces=traces)
    likeness = msgspec.structs.replace(ALIKE, **values)
    return msgspec.structs.replace(COMPARED, old=old, likeness=likeness)


@pytest.mark.parametrize(
    "forged",
    [
        changed(turn="evil"),
        changed(score=float("nan")),
        changed(score=float("inf")),
        changed(hash_bits=65),
        changed(hash_bits=-1),
        changed(colour=-0.1),
        changed(alpha=1e12),
        changed(detail=0.0),
        changed(traces=("evil",)),
        changed(info=msgspec.structs.replace(INFO, format="evil")),
        msgspec.structs.replace(COMPARED, pictures={"old": "/etc/passwd"}),
        msgspec.structs.replace(COMPARED, pictures={"old": "../old.webp"}),
        msgspec.structs.replace(COMPARED, pictures={"evil": "evil.webp"}),
        msgspec.structs.replace(COMPARED, new=Refusal(code="evil", detail="")),
    ],
)
def test_a_forged_comparison_is_as_good_as_none(forged: Compared) -> None:
    with pytest.raises(ProcessDied):
        checked_comparison(forged, Limits())


def test_a_comparison_has_only_our_sentences() -> None:
    forged = msgspec.structs.replace(COMPARED, new=Refusal(code="corrupt", detail=EVIL, cause=EVIL))
    assert checked_comparison(forged, Limits()).new == Refusal(code="corrupt", detail=str(Corrupt(sentences.DAMAGED)))


def test_small_copies_are_plain_small_pictures(tmp_path: Path) -> None:
    copy = tmp_path / "old.webp"
    good = b"RIFF\0\0\0\0WEBP" + bytes(600)
    copy.write_bytes(good)
    check_copies(COMPARED, tmp_path)
    for content in (b"<html>", good + bytes(2 << 20)):
        copy.write_bytes(content)
        with pytest.raises(ProcessDied):
            check_copies(COMPARED, tmp_path)
    (tmp_path / "x").write_bytes(good)
    copy.unlink()
    copy.symlink_to(tmp_path / "x")
    with pytest.raises(ProcessDied):
        check_copies(COMPARED, tmp_path)
    copy.unlink()
    copy.mkdir()
    with pytest.raises(ProcessDied):
        check_copies(COMPARED, tmp_path)
