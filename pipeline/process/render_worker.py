"""Entry point of the render process: one request per line on stdin, one response per line on stdout."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from pipeline.decode.probe import probe
from pipeline.errors import Refused
from pipeline.image import vips
from pipeline.process.sandbox import serve
from pipeline.protocol import Answer, Probe, Probed, Question, Ready, Refusal, Render
from pipeline.render.render import render
from pipeline.size import Size


def main() -> None:
    """Answer requests until stdin is closed."""
    decoder: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)
    serve(decoder.decode, answer, get_ready=_warm_up)


def answer(question: Question) -> Answer:
    """Return the response to one request; a fault of the original is returned as a `Refusal`."""
    try:
        if isinstance(question, Probe):
            return Probed(info=probe(Path(question.path), limits=question.limits, sizes=question.sizes))
        return render(question)
    except Refused as refused:
        return Refusal(code=refused.code, detail=str(refused), cause=refused.cause)


def _warm_up() -> Ready:
    """Render a tiny image at start-up, so that no request pays for the one-time set-up of libvips."""
    # tempfile is avoided: it imports 1.3 MB of compression and random-number modules.
    place = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - the folder's name is unguessable
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
    return Ready(libvips=vips.VERSION)


if __name__ == "__main__":
    main()
