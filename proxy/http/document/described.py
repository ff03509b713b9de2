"""What the document depends on, beside the routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.keys.layouts import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedService:
    """The service that a document describes: its sizes, its keys, its delivery, and whether requests are signed."""

    sizes: Sequence[str]
    layout: Layout
    has_files: bool
    is_folder: bool
    """Whether the store is a folder, in which no part of a key begins with a dot."""
    is_streaming: bool
    is_open: bool
    base_path: str
