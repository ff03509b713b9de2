"""Reads the facts of local files, in the same confined processes as the service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import Refused
from pipeline.facts_model import Facts
from proxy.concurrency.admission import Priority, Ticket
from proxy.errors import ImagesError
from proxy.facts.reader import digest

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.protocol import Limits
    from proxy.rendering.pool import RenderPool


class FileFacts(Facts, frozen=True, kw_only=True):
    """The facts of the file `file`, with its length and its SHA-256."""

    file: str
    sha256: str
    bytes: int


class NoFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Why a file has no facts."""

    file: str
    refusal: str


async def facts_of_file(render_pool: RenderPool, file: Path, *, limits: Limits) -> FileFacts | NoFacts:
    """Return the facts of a file, or why it has none; `file` is absolute."""
    shown = str(file).encode(errors="replace").decode()
    if shown != str(file):
        return NoFacts(file=shown, refusal="The path of the file is not valid UTF-8; rename the file or its folder.")
    if not await asyncio.to_thread(file.is_file):
        return NoFacts(file=shown, refusal="The file does not exist, or is not a regular file. Correct its path.")
    try:
        facts = await render_pool.read_facts(file, Ticket(Priority.JOB), limits=limits)
        checksum, length = await asyncio.to_thread(digest, file)
    except (Refused, ImagesError) as fault:
        return NoFacts(file=shown, refusal=str(fault))
    except OSError as fault:
        return NoFacts(file=shown, refusal=f"The file cannot be read: {fault.strerror or fault}.")
    return FileFacts(**msgspec.structs.asdict(facts), file=shown, sha256=checksum, bytes=length)
