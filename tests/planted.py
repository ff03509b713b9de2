"""Derivatives in the folder of a store, as an earlier run of the service left them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.derivatives.recipe import PROFILE
from proxy.stores.base import Attributes
from proxy.stores.file.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


async def plant(folder: Path, keys: Iterable[str], picture: Path) -> None:
    """Put a picture under keys of derivatives, with a render profile: page views accept it without its original."""
    store = FileStore(folder)
    await store.start()
    for key in keys:
        await store.put(key, picture, Attributes(content_type="image/jpeg", metadata={PROFILE: "1-8.18-planted"}))
