"""Renders local files without a store, in the same render processes as the service."""

from __future__ import annotations

import filecmp
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from anyio import Path as AsyncPath
from msgspec import structs

from pipeline.errors import Refused
from pipeline.protocol import Limits, Render, Rendered
from pipeline.size import rendered_together
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.errors import RenderFailed
from proxy.rendering.pool import RenderPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline.protocol import SandboxLevel
    from pipeline.size import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalResult:
    """The result for one file: the derivatives with their paths, and the reason why some or all are missing."""

    file: Path
    derivatives: tuple[Rendered, ...] = ()
    refusal: str | None = None
    seconds: float = 0.0


@asynccontextmanager
async def local_renderers(
    *, budget_bytes: int, deadline_seconds: float, sandbox: SandboxLevel = "best"
) -> AsyncIterator[RenderPool]:
    """Yield a pool of one render process."""
    render_pool = RenderPool(
        admission=Admission(slots=1, budget_bytes=budget_bytes), deadline_seconds=deadline_seconds, sandbox=sandbox
    )
    try:
        yield render_pool
    finally:
        await render_pool.close()


async def render_file(
    render_pool: RenderPool,
    file: Path,
    *,
    out: Path,
    sizes: Sequence[Size],
    limits: Limits,
    overwrite: bool = False,
) -> LocalResult:
    """Render every size of a file into the folder `out`, as `<stem>_<size>.<extension>`; both paths are absolute.

    If it is cancelled, the file has all its derivatives or none. Without `overwrite`, no existing file is replaced
    unless its bytes are those of the new one.
    """
    path = AsyncPath(file)
    if not await path.is_file():
        return LocalResult(
            file=file,
            refusal="This is not a regular file."
            if await path.exists()
            else "The file does not exist. Correct its path.",
        )
    try:
        str(file).encode()
        return await _render_file(render_pool, file, out=out, sizes=sizes, limits=limits, overwrite=overwrite)
    except UnicodeEncodeError:
        return LocalResult(file=file, refusal="The path of the file is not valid UTF-8; rename the file or its folder.")
    except OSError as fault:
        return LocalResult(
            file=file, refusal=f"Temporary files or derivatives cannot be written: {fault.strerror or fault}."
        )


async def _render_file(
    render_pool: RenderPool, file: Path, *, out: Path, sizes: Sequence[Size], limits: Limits, overwrite: bool
) -> LocalResult:
    with TemporaryDirectory(dir=out, prefix=".render-") as folder:
        question = Render(path=str(file), folder=folder, sizes=tuple(sizes), limits=limits)
        derivatives, refusal, seconds = await _rendered(render_pool, question)
        targets = [(made, _target(file, out, made)) for made in derivatives]
        others = [] if overwrite else [path.name for made, path in targets if _is_other(path, Path(made.path))]
        if others:
            return LocalResult(file=file, refusal=_would_be_replaced(others, out))
        # Not in a thread: a cancellation between two of them would leave files that no result names.
        kept = [_keep(made, path) for made, path in targets]
    return LocalResult(file=file, derivatives=tuple(kept), refusal=refusal, seconds=seconds)


async def _rendered(render_pool: RenderPool, question: Render) -> tuple[list[Rendered], str | None, float]:
    """Return the derivatives, the reason why some or all are missing, and the seconds; see `rendered_together`."""
    made: list[Rendered] = []
    refusal, seconds = None, 0.0
    for names in rendered_together(question.sizes, (), first=""):
        try:
            rendering = await render_pool.render(structs.replace(question, wanted=names), Ticket(Priority.JOB))
        except (Refused, RenderFailed) as fault:
            refusal = refusal or str(fault)
            continue
        made += rendering.derived.derivatives
        seconds += rendering.render_seconds
    return made, refusal, seconds


def clash(files: Sequence[Path], *, out: Path, sizes: Sequence[Size]) -> str | None:
    """Return a message if a derivative of one file would overwrite that of another or an input file, else None."""
    stems: dict[str, Path] = {}
    for file in files:
        if other := stems.get(file.stem):
            return f"The derivatives of {other} and {file} would have the same names; use an output folder for each."
        stems[file.stem] = file
    for stem, file in stems.items():
        for size in sizes:
            other = stems.get(f"{stem}_{size.name}")
            if other and other.parent == out:
                return f"{other} could be overwritten by a derivative of {file}; use another output folder."
    return None


def _target(file: Path, out: Path, made: Rendered) -> Path:
    return out / f"{file.stem}_{made.size}{Path(made.path).suffix}"


def _is_other(path: Path, new: Path) -> bool:
    """Return whether something is at `path` that is not a file with the bytes of `new`."""
    if not os.path.lexists(path):
        return False
    return path.is_symlink() or not path.is_file() or not filecmp.cmp(path, new, shallow=False)


def _would_be_replaced(names: Sequence[str], out: Path) -> str:
    return (
        f"Files with other content have the names of its derivatives in {out}: {', '.join(names)}. Name another --out, "
        "move these files, or replace them with --overwrite."
    )


def _keep(made: Rendered, path: Path) -> Rendered:
    Path(made.path).replace(path)
    return structs.replace(made, path=str(path))
