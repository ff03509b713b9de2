"""Entry point of the fork server whose children render originals, or read their facts."""

from __future__ import annotations

import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.decode import hevc
from pipeline.errors import Refused
from pipeline.image import vips
from pipeline.image.transfer_curve import load_tables
from pipeline.process.confinement.confine import confine
from pipeline.process.fork_loop import serve
from pipeline.protocol import FactsRead, Fault, Finished, Probed, Proceed, ReadFacts, Ready, Refusal, Render
from pipeline.render.render import Rendering

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.facts_model import Facts
    from pipeline.process.channel import ServiceChannel
    from pipeline.protocol import SandboxLevel


def main() -> None:
    """Fork a child for each original until the service closes the socket."""
    serve(answer, get_ready=_load)


def answer(channel: ServiceChannel, level: SandboxLevel) -> None:
    """Answer one question about an original over its channel; a fault of the original is sent as a `Refusal`."""
    question = channel.receive_question()
    if isinstance(question, ReadFacts):
        read_facts = partial(_load_facts_reader(), question)
        _confine(question, level)
        _answer_with_facts(channel, read_facts)
    else:
        _confine(question, level)
        _render(channel, question)


def _confine(question: Render | ReadFacts, level: SandboxLevel) -> None:
    confine(Path(question.folder), level=level, reads=[Path(question.path)])


def _load_facts_reader() -> Callable[[ReadFacts], Facts]:
    """Import the reader of facts, while a child may still import; it would cost the fork server 0.6 MB."""
    from pipeline.facts.selection import read_facts  # noqa: PLC0415 - see above

    return read_facts


def _render(channel: ServiceChannel, question: Render) -> None:
    try:
        rendering = Rendering(question)
        channel.send(Probed(info=rendering.info, first_bytes=rendering.first_bytes))
        proceed = channel.receive(Proceed)
        for made in rendering.run(first=proceed.first):
            channel.send(made)
        channel.send(Finished())
    except Refused as refused:
        channel.send(Refusal(code=refused.code, detail=str(refused), cause=refused.cause))


def _answer_with_facts(channel: ServiceChannel, read_facts: Callable[[], Facts]) -> None:
    """Send the facts of an original; a `Fault` names lines of our code, but no value, because the service logs it."""
    try:
        channel.send(FactsRead(facts=read_facts()))
    except Refused as refused:
        channel.send(Refusal(code=refused.code, detail=str(refused), cause=refused.cause))
    except Exception as fault:  # noqa: BLE001 - its message may quote the original
        lines = traceback.format_tb(fault.__traceback__)
        channel.send(Fault(trace=f"{''.join(lines)}{type(fault).__name__}"))


def _load() -> Ready:
    """Load what a child would otherwise load for itself each time."""
    hevc.load()
    load_tables()
    vips.load_operations()
    return Ready(libvips=vips.VERSION)


if __name__ == "__main__":
    main()
