"""Entry point of the fork server whose children render originals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.decode import hevc
from pipeline.errors import Refused
from pipeline.image import vips
from pipeline.image.transfer_curve import load_tables
from pipeline.process.confinement.confine import confine
from pipeline.process.fork_loop import serve
from pipeline.protocol import Finished, Probed, Proceed, Ready, Refusal, Render
from pipeline.render.render import Rendering

if TYPE_CHECKING:
    from pipeline.process.channel import ServiceChannel
    from pipeline.protocol import SandboxLevel


def main() -> None:
    """Fork a child for each original until the service closes the socket."""
    serve(answer, get_ready=_load)


def answer(channel: ServiceChannel, level: SandboxLevel) -> None:
    """Render one original over its channel; a fault of the original is sent as a `Refusal`."""
    question = channel.receive(Render)
    confine(Path(question.folder), level=level, reads=[Path(question.path)])
    try:
        rendering = Rendering(question)
        channel.send(Probed(info=rendering.info, first_bytes=rendering.first_bytes))
        proceed = channel.receive(Proceed)
        for made in rendering.run(first=proceed.first):
            channel.send(made)
        channel.send(Finished())
    except Refused as refused:
        channel.send(Refusal(code=refused.code, detail=str(refused), cause=refused.cause))


def _load() -> Ready:
    """Load what a child would otherwise load for itself each time."""
    hevc.load()
    load_tables()
    vips.load_operations()
    return Ready(libvips=vips.VERSION)


if __name__ == "__main__":
    main()
