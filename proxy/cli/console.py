"""Exit codes, options for settings, errors of the settings, option types."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.settings.env_file import add_variables, read_env_file
from proxy.settings.folders import missing_store
from proxy.settings.settings import Settings, list_settings, read_settings
from proxy.settings.sizes import BadSettings
from proxy.settings.validators import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "gf-images"

DEFAULT_STORE = next(str(setting.default) for setting in list_settings() if setting.name == "STORE")

REFUSED, USAGE_ERROR = 1, 2
"""Exit codes: something was refused or failed; the options or the settings are invalid."""


def _add_env_file(_context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    """Add the variables of --env-file to the environment of this process, from which all libraries read theirs."""
    if path is not None:
        with exit_on_faults("--env-file: "):
            add_variables(os.environ, read_env_file(path))


env_file_option = click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_add_env_file,
    help="File with settings, one NAME=value a line; variables of the environment have priority.",
)


def how_to_call() -> str:
    """Return what to type to run this program: its name, or its path if the shell would not find it by its name."""
    program = Path(sys.argv[0])
    if program.name != NAME:  # such as `python -m proxy`
        program = Path(sys.executable).with_name(NAME)
    found = shutil.which(NAME)
    if not program.is_file() or (found and Path(found).resolve() == program.resolve()):
        return NAME
    with contextlib.suppress(ValueError):
        program = program.absolute().relative_to(Path.cwd())
    return shlex.quote(str(program) if program.parent.name else f"./{program}")


def read_settings_or_exit(*, accepts_jobs: bool = True) -> Settings:
    """Return the settings; exit with 2 if they are invalid. See `read_settings`."""
    with exit_on_faults():
        return read_settings(accepts_jobs=accepts_jobs)


def is_default_store(settings: Settings) -> bool:
    """Return whether the store is the folder that a service creates at its first start."""
    return settings.store == DEFAULT_STORE


def exit_without_store(settings: Settings, *, name: str = "STORE", also: str = "") -> None:
    """Exit with 2 if the store is a folder that does not exist: a mistyped one would be created, and look empty.

    `name` is the option or the setting that names the store; `also` is what else creates the folder.
    """
    if fault := missing_store(settings.store):
        click.echo(f"{name}: {fault}{also}", err=True)
        sys.exit(USAGE_ERROR)


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


def checked(validator: Callable[[str], str | None]) -> Callable[[str], str]:
    """Return a parser for values that the validator of a setting accepts."""

    def parse(text: str) -> str:
        if fault := validator(text):
            raise ValueError(f"{text!r} {fault}.")
        return text

    return parse


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
