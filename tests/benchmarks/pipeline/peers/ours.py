"""Our own rendering, asked a line at a time, in one process: what a child of the fork server does for each original."""

from __future__ import annotations

import sys

import msgspec

from pipeline.errors import Refused
from pipeline.protocol import Finished, Refusal, Render
from pipeline.render.render import Rendering


def answer(question: Render) -> Finished | Refusal:
    """Render all sizes."""
    try:
        for _ in Rendering(question).run():
            pass
    except Refused as refused:
        return Refusal(code=refused.code, detail=str(refused))
    return Finished()


def main() -> None:
    """Answer each line on standard input with one on standard output."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin.buffer:
        sys.stdout.write(msgspec.json.encode(answer(msgspec.json.decode(line, type=Render))).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
