"""Exit codes, errors of the settings, option types."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from proxy.settings.settings import Settings, read_settings
from proxy.settings.sizes import BadSettings
from proxy.settings.validators import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFUSED, USAGE_ERROR = 1, 2
"""Exit codes: something was refused or failed; the options or the settings are invalid."""


def read_settings_or_exit(*, accepts_jobs: bool = True) -> Settings:
    """Return the settings; exit with 2 if they are invalid. See `read_settings`."""
    with exit_on_faults():
        return read_settings(accepts_jobs=accepts_jobs)


@contextlib.contextmanager
def exit_on_faults(where: str = "") -> Iterator[None]:
    """Print the errors of invalid settings in the block, one per line, and exit with 2."""
    try:
        yield
    except BadSettings as bad:
        for fault in bad.faults:
            click.echo(f"{where}{fault}", err=True)
        sys.exit(USAGE_ERROR)


def names(text: str) -> tuple[str, ...]:
    """Return comma-separated names, each once.

    Raises:
        ValueError: the text is not empty and has no name.
    """
    parsed = tuple(dict.fromkeys(split(text)))
    if text and not parsed:
        raise ValueError(f"{text!r} contains no name.")
    return parsed


class ParsedOption(click.ParamType[object]):
    """An option type whose values a function parses; its ValueError becomes the usage error."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the parsed value."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as fault:
            self.fail(str(fault), param, ctx)
