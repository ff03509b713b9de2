"""The process that renders: a question on each line of its input, an answer on each line of its output."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from pipeline import vips
from pipeline.errors import Refused
from pipeline.probe import probe
from pipeline.render import render
from pipeline.size import Size
from pipeline.wire import Answer, Probe, Probed, Question, Ready, Refusal, Render

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS_BYTES = 3 << 30
"""Far above what a render takes: it stops what runs away. The budget of memory is the parent's to keep."""

FILE_BYTES = 256 << 20
"""The largest file it may write; derivatives are a thousandth of it."""

OPEN_FILES = 64
CPU_SECONDS = 120
"""For one question, unless the parent says another number. The deadline is the parent's; this ends a render whose
parent is gone."""


def main() -> None:
    """Answer questions until there are no more; the first argument is the CPU seconds that each may take.

    What goes wrong that is not the original's fault ends the process with a trace: the parent starts another, which
    is cheaper than to go on with a library in an unknown state.
    """
    answers = _claim_stdout()
    _limit_itself()
    _warm_up()
    _say(answers, Ready(libvips=vips.VERSION))
    seconds = int(sys.argv[1]) if sys.argv[1:] else CPU_SECONDS
    for question in _questions():
        _allow_cpu_seconds(seconds)
        _say(answers, answer(question))


def answer(question: Question) -> Answer:
    """Answer one question; what is wrong with an original is an answer too."""
    try:
        if isinstance(question, Probe):
            return Probed(info=probe(Path(question.path), limits=question.limits, sizes=question.sizes))
        return render(question)
    except Refused as refused:
        return Refusal(code=refused.code, detail=str(refused))


def _claim_stdout() -> BinaryIO:
    """Keep standard output for answers: whatever else in this process prints to it lands on standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _limit_itself() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, ADDRESS_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _allow_cpu_seconds(seconds: int) -> None:
    """Let the process use that much more; the kernel ends it when it is used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


def _warm_up() -> None:
    """Render a tiny picture: the first render pays for what libvips sets up once."""
    # Not with tempfile, which loads 1.3 MB of compressors and random numbers.
    place = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - what is made there has a name that none can guess
    folder = place / f"warm-up-{os.urandom(8).hex()}"
    folder.mkdir(mode=0o700)
    try:
        path = folder / "tiny.jpg"
        vips.save(vips.from_bytes(bytes(3 * 64 * 64), (64, 64), bands=3), "jpegsave", path)
        render(Render(path=str(path), folder=str(folder), sizes=(Size(name="warm", width=32),)))
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _questions() -> Iterator[Question]:
    decoder = msgspec.json.Decoder(Question)
    yield from map(decoder.decode, sys.stdin.buffer)


def _say(answers: BinaryIO, answer: Answer | Ready) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
