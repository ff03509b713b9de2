"""Blocks of a document that are generated: from one comment that names the block to the next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BLOCK = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[\w-]+) \(`make reference`\) -->)\n(?P<body>.*?)(?P<end><!-- end -->)",
    re.DOTALL,
)


class UnknownBlock(Exception):
    """A document has a block that nothing generates."""


def names(text: str) -> list[str]:
    """Return the names of the blocks of a document."""
    return [found["name"] for found in _BLOCK.finditer(text)]


def replaced(text: str, blocks: Mapping[str, Callable[[str], str]]) -> str:
    """Return a document with all blocks generated again; each generator receives what the block contained.

    Raises:
        UnknownBlock: no generator has the name of a block.
    """

    def block(found: re.Match[str]) -> str:
        if found["name"] not in blocks:
            raise UnknownBlock(f"nothing generates the block {found['name']!r}; the blocks are {', '.join(blocks)}")
        return f"{found['begin']}\n\n{blocks[found['name']](found['body']).strip()}\n\n{found['end']}"

    return _BLOCK.sub(block, text)
