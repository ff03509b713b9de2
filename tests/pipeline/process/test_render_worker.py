"""The render process answers every request with one line, and writes nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.paint import Photograph, paint
from pipeline.image import vips
from pipeline.process.sandbox import ADDRESS_BYTES, CPU_SECONDS, FILE_BYTES, OPEN_FILES
from pipeline.protocol import Derived, Fault, Probe, Probed, Refusal, Render
from tests.pipeline.rendering import SITE, RenderProcess


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.jpg"
    paint(path, Photograph(width=400, height=300, orientation=6))
    return path


def test_it_answers_probes_and_renders_until_its_input_ends(tmp_path: Path, original: Path) -> None:
    with RenderProcess() as process:
        assert process.ready.libvips == vips.VERSION
        probed = process.ask(Probe(path=str(original), sizes=SITE))
        derived = process.ask(Render(path=str(original), folder=str(tmp_path), sizes=SITE, wanted=("small",)))
        assert isinstance(probed, Probed)
        assert isinstance(derived, Derived)
        assert derived.info == probed.info
        assert [derivative.size for derivative in derived.derivatives] == ["small"]
        assert process.finish() == (0, b"", b"")


def test_a_refusal_is_an_answer_and_the_next_question_is_answered_too(tmp_path: Path, original: Path) -> None:
    (tmp_path / "text").write_text("no picture")
    with RenderProcess() as process:
        refusal = process.ask(Render(path=str(tmp_path / "text"), folder=str(tmp_path), sizes=SITE))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "not-an-image"
        assert str(tmp_path) not in refusal.detail
        assert isinstance(process.ask(Probe(path=str(original))), Probed)


def test_what_is_nobodys_picture_ends_the_process_with_a_trace(tmp_path: Path, original: Path) -> None:
    with RenderProcess() as process:
        process.say(b'{"type": "render"}')
        assert process.line() == b""
        code, _, trace = process.finish()
        assert code == 1
        assert b"ValidationError" in trace


def test_a_folder_that_is_not_there_is_not_blamed_on_the_original(tmp_path: Path, original: Path) -> None:
    with RenderProcess() as process:
        fault = process.ask(Render(path=str(original), folder="/nowhere", sizes=SITE))
        assert isinstance(fault, Fault)
        assert "pyvips.error.Error" in fault.trace
        assert process.finish() == (0, b"", b"")


def limits(process: RenderProcess) -> dict[str, str]:
    lines = Path(f"/proc/{process.process.pid}/limits").read_text().splitlines()
    return {line[:26].strip(): line[26:47].strip() for line in lines[1:]}


def test_its_first_render_leaves_nothing_behind(tmp_path: Path) -> None:
    with RenderProcess(TMPDIR=str(tmp_path)):
        assert list(tmp_path.iterdir()) == []


def test_it_takes_as_long_as_its_parent_says(original: Path) -> None:
    with RenderProcess("7200") as process:
        process.ask(Probe(path=str(original)))
        assert 7200 <= int(limits(process)["Max cpu time"]) < 7260


def test_it_limits_itself(original: Path) -> None:
    with RenderProcess() as process:
        process.ask(Probe(path=str(original)))
        soft = limits(process)
    assert soft["Max address space"] == str(ADDRESS_BYTES)
    assert soft["Max file size"] == str(FILE_BYTES)
    assert soft["Max open files"] == str(OPEN_FILES)
    assert soft["Max core file size"] == "0"
    assert CPU_SECONDS <= int(soft["Max cpu time"]) < CPU_SECONDS + 60


def test_what_a_killed_process_of_the_same_id_left_keeps_none_from_starting(tmp_path: Path) -> None:
    leave = "import os, sys; os.mkdir(f'gf-images-warm-up-{os.getpid()}'); os.execv(sys.executable, sys.argv[1:])"
    words = [sys.executable, "-c", leave, sys.executable, "-m", "pipeline.process.render_worker"]
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    told = subprocess.run(
        words, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    assert b"ready" in told.stdout
