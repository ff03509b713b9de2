"""Files that pages refer to, at addresses that change with their bytes."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE: Final = Path(__file__).parents[1]
"""The folder of `proxy`; names of templates and assets are paths below it."""

PATH: Final = "/assets"

CONTENT_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
}
"""The types of files that are served; others in the folders of assets are not."""

HASH_CHARACTERS: Final = 12


class Assets:
    """The files in some folders below `proxy`. They are read when they are first asked for, and not kept."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = tuple(folders)
        self._served: dict[str, Path] | None = None

    def path(self, name: str) -> str:
        """Return the path at which an asset such as `pages/assets/site.css` is served.

        Raises:
            FileNotFoundError: no folder of assets has this file.
        """
        file = PACKAGE / name
        if file not in self._files().values():
            raise FileNotFoundError(f"{name} is not in a folder of assets: {', '.join(self._folders)}.")
        return f"{PATH}/{_hashed_name(file)}"

    def find(self, hashed_name: str) -> Path | None:
        """Return the file that is served under this name, such as `site.0123456789ab.css`; None if there is none."""
        return self._files().get(hashed_name)

    def _files(self) -> dict[str, Path]:
        if self._served is None:
            files = [file for folder in self._folders for file in sorted((PACKAGE / folder).iterdir())]
            self._served = {_hashed_name(file): file for file in files if file.suffix in CONTENT_TYPES}
        return self._served


@cache
def _hashed_name(file: Path) -> str:
    digest = hashlib.blake2b(file.read_bytes(), digest_size=HASH_CHARACTERS // 2).hexdigest()
    return f"{file.stem}.{digest}{file.suffix}"
