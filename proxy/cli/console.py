"""How commands end that cannot go on: each fault on a line of its own, a code that says whose fault it is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from proxy.settings.settings import Settings, read_settings
from proxy.settings.sizes import BadSettings
from proxy.settings.validators import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFUSED, USAGE_ERROR = 1, 2
"""Exit codes: something was refused; the command or the settings are not as they should be."""


INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a run that was told to stop twice, as shells have it for what a signal ended."""


def read_settings_or_exit(*, accepts_jobs: bool = True) -> Settings:
    """Read the settings; end the command with every fault if there is one. See `read_settings`."""
    with exit_on_faults():
        return read_settings(accepts_jobs=accepts_jobs)


def discard_output() -> None:
    """Leave lines that nobody takes unwritten; the interpreter would try once more at its end, and end with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def exit_on_faults(where: str = "") -> Iterator[None]:
    """End the command with every fault on a line of its own."""
    try:
        yield
    except BadSettings as bad:
        for fault in bad.faults:
            click.echo(f"{where}{fault}", err=True)
        sys.exit(USAGE_ERROR)


def names(word: str) -> tuple[str, ...]:
    """Read names with commas between them, each once.

    Raises:
        ValueError: there is none.
    """
    read = tuple(dict.fromkeys(split(word)))
    if word and not read:
        raise ValueError(f"{word!r} names nothing.")
    return read


class ParsedOption(click.ParamType[object]):
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
