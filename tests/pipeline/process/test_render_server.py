"""The fork server and its children: one answers each request, and writes nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import msgspec
import pytest

from loadtest.paint import Photograph, paint
from pipeline.image import vips
from pipeline.process.sandbox import ADDRESS_BYTES, CPU_SECONDS, FILE_BYTES, OPEN_FILES
from pipeline.protocol import Derived, Fault, Probed, Refusal, Render
from tests.pipeline.rendering import SITE, RenderProcess
from tests.waiting import until


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.jpg"
    paint(path, Photograph(width=400, height=300, orientation=6))
    return path


def threads(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/task").iterdir()])


def descriptors(pid: int) -> set[str]:
    return {path.name for path in Path(f"/proc/{pid}/fd").iterdir()}


async def has_closed_the_original(child: int) -> bool:
    return descriptors(child) <= {"0", "1", "2"}


def test_it_answers_until_its_input_ends(tmp_path: Path, original: Path) -> None:
    with RenderProcess() as process:
        assert process.ready.libvips == vips.VERSION
        probed = process.probe(original, *SITE)
        derived = process.ask(Render(path=str(original), folder=str(tmp_path), sizes=SITE, wanted=("small",)))
        assert isinstance(probed, Probed)
        assert isinstance(derived, Derived)
        assert derived.info == probed.info
        assert [derivative.size for derivative in derived.derivatives] == ["small"]
        assert process.finish() == (0, b"")


def test_it_has_one_thread_opens_nothing_and_starts_no_code_anew_for_a_child(tmp_path: Path, original: Path) -> None:
    with RenderProcess() as process:
        before = descriptors(process.process.pid)
        for _ in range(3):
            process.ask(Render(path=str(original), folder=str(tmp_path), sizes=SITE))
            assert threads(process.process.pid) == 1
            assert threads(process.child) > 1
            asyncio.run(until(partial(has_closed_the_original, process.child)))
            assert os.getpgid(process.child) == process.child
            assert os.getsid(process.child) == os.getsid(process.process.pid)
        process.reap()
        assert descriptors(process.process.pid) == before


def test_nothing_of_an_original_outlives_its_child(tmp_path: Path, original: Path) -> None:
    with RenderProcess() as process:
        process.probe(original)
        pid = process.child
        assert process.reap() == -signal.SIGKILL
        assert not Path(f"/proc/{pid}").exists()


def test_a_child_ends_with_its_fork_server(original: Path) -> None:
    with RenderProcess() as process:
        process.probe(original)
        process.process.kill()
        assert process.line() == b""


def test_a_refusal_is_an_answer_and_the_next_question_is_answered_too(tmp_path: Path, original: Path) -> None:
    (tmp_path / "text").write_text("no picture")
    with RenderProcess() as process:
        refusal = process.ask(Render(path=str(tmp_path / "text"), folder=str(tmp_path), sizes=SITE))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "not-an-image"
        assert str(tmp_path) not in refusal.detail
        assert isinstance(process.probe(original), Probed)


def test_a_folder_that_is_not_there_is_not_blamed_on_the_original(original: Path) -> None:
    with RenderProcess() as process:
        process.fork()
        process.say(msgspec.json.encode(Render(path=str(original), folder="/nowhere", sizes=SITE)))
        assert b"FileNotFoundError" in process.line()
        assert process.finish() == (0, b"")


def test_a_request_that_makes_no_sense_is_a_fault_of_ours(original: Path) -> None:
    with RenderProcess() as process:
        process.fork()
        process.say(b'{"type": "render"}')
        assert b"ValidationError" in process.line()
        fault = process.ask(Render(path=str(original.parent), folder=str(original.parent), sizes=SITE))
        assert isinstance(fault, Fault)
        assert "IsADirectoryError" in fault.trace


def test_its_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with RenderProcess(TMPDIR=str(tmp_path)):
        assert list(tmp_path.iterdir()) == []


def test_a_child_takes_as_long_as_the_service_says(original: Path) -> None:
    with RenderProcess("7200") as process:
        process.probe(original)
        assert process.limit("Max cpu time") == "7200"


def test_a_child_limits_itself(original: Path) -> None:
    with RenderProcess() as process:
        process.probe(original)
        assert process.limit("Max address space") == str(ADDRESS_BYTES)
        assert process.limit("Max file size") == str(FILE_BYTES)
        assert process.limit("Max open files") == str(OPEN_FILES)
        assert process.limit("Max core file size") == "0"
        assert process.limit("Max cpu time") == str(CPU_SECONDS)
