"""Options of commands whose words a function reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from proxy.checks import split

if TYPE_CHECKING:
    from collections.abc import Callable


def names(word: str) -> tuple[str, ...]:
    """Read names with commas between them, each once.

    Raises:
        ValueError: there is none.
    """
    read = tuple(dict.fromkeys(split(word)))
    if word and not read:
        raise ValueError(f"{word!r} names nothing.")
    return read


class Word(click.ParamType[object]):
    """A word that is read by a function, which raises ValueError with a sentence if it cannot."""

    def __init__(self, name: str, read: Callable[[str], object]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Give what the word means."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as fault:
            self.fail(str(fault), param, ctx)
