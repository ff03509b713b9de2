"""Copies of the folders that `make` left, as they would lie on the disk where they were made."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from contextlib import closing
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyvips

from pipeline.size import RENDERING_VERSION
from tests.old_data.make import HIDDEN, etag

if TYPE_CHECKING:
    from collections.abc import Mapping

MADE = Path(__file__).parent
PROFILE = re.compile(r'"\d+-\d+\.\d+\.\d+-(?=[0-9a-f]{8}")')
"""How a render profile begins: the version of the rendering, and libvips'. The rest is the recipe of the size."""

BASE = "_small.jpg"
"""How the key of a derivative of the base size ends."""

SUMMARY = {"original-width": "240", "original-height": "180", "original-format": "jpeg", "original-animated": "false"}


def copy(name: str, to: Path) -> Path:
    """Copy a folder; what is fresh where it was made is fresh in the copy.

    A copied file has another ETag, and a newer libvips makes every derivative stale, so both replace the old ones
    wherever they stand, and derivatives of the base size get a summary. The recipe in a render profile stays as it was.
    """
    folder = Path(shutil.copytree(MADE / name, to, dirs_exist_ok=True))
    (folder / "sidecars").rename(_folder(folder / "store" / HIDDEN) / "sidecars")
    old: dict[str, str] = msgspec.json.decode((folder / "etags.json").read_bytes())
    words: dict[str, str] = {}
    for key, tag in old.items():
        new = etag(folder / "store" / key)
        words |= {tag: new, _digest(tag): _digest(new)}
        _adopt_sidecar(folder / "store", key, tag)
    for path in folder.rglob("*.json"):
        path.write_text(_reworded(path.read_text(), words))
    for database in folder.rglob("progress.db"):
        _adopt_comparison(database, words)
    for queue in folder.rglob("queue.db"):
        _adopt_queue(queue)
    return folder


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _digest(tag: str) -> str:
    """Return what a comparison keeps of an ETag."""
    return blake2b(tag.encode(), digest_size=8).hexdigest()


def _reworded(text: str, words: Mapping[str, str]) -> str:
    for before, after in words.items():
        text = text.replace(before, after)
    today = f"{RENDERING_VERSION}-{pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}-"
    return PROFILE.sub(f'"{today}', text)


def _adopt_sidecar(store: Path, key: str, tag: str) -> None:
    """Have the sidecar of a blob name the copied file; originals have none, replaced files not their own."""
    digest = sha256(key.encode()).hexdigest()
    path = store / HIDDEN / "sidecars" / digest[:2] / f"{digest}.json"
    if not path.exists():
        return
    records: list[dict[str, Any]] = msgspec.json.decode(path.read_bytes())
    stat = (store / key).stat()
    for record in records:
        if _tag(record["identity"]) == tag:
            record["identity"] = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino}
        if key.endswith(BASE):
            record["metadata"] |= SUMMARY
    path.write_bytes(msgspec.json.encode(records))


def _tag(identity: Mapping[str, int]) -> str:
    return f"{identity['mtime_ns']:x}-{identity['bytes']:x}-{identity['inode']:x}"


def _adopt_comparison(path: Path, words: Mapping[str, str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for change in words.items():
            connection.execute("UPDATE originals SET new = replace(new, ?, ?)", change)
            connection.execute("UPDATE findings SET body = CAST(replace(CAST(body AS TEXT), ?, ?) AS BLOB)", change)


def _adopt_queue(path: Path) -> None:
    """Have no job wait for a moment that is to come, should the clock here be behind the one where it was made."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE jobs SET scheduled = min(scheduled, ?1), due = min(due, ?1)", (time.time(),))
