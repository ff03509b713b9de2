"""How commands read their arguments: what contradicts itself is refused, with a sentence that shows what to do."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn, cast

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as shells report it."""

TERMINATED: Final = 128 + signal.SIGTERM
"""Exit code after a SIGTERM that ended a command before its work was done."""

_EXAMPLE: Final = re.compile(r"Example: (.+)")


class StrictCommand(click.Command):
    """A command that refuses repeated and surplus words; its errors end with the example of its help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            UsageError: they are incomplete or contradict each other.
        """
        try:
            values, surplus, order = self.make_parser(ctx).parse_args(list(args))
            if "help" not in values and not ctx.resilient_parsing:
                _refuse_repeats(order, ctx)
                _refuse_surplus(surplus, ctx)
            return super().parse_args(ctx, args)
        except click.NoSuchOption as fault:
            raise _advised(fault, ctx, is_clear=bool(fault.possibilities)) from fault
        except (click.BadParameter, click.BadOptionUsage) as fault:
            raise _advised(fault, ctx) from fault


class OrderedGroup(click.Group):
    """A group whose errors show that options stand behind the command that they are for."""

    command_class = StrictCommand

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the command.

        Raises:
            UsageError: it is an option of a command, which stands behind it.
        """
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as fault:
            raise click.UsageError(
                f"No such option {fault.option_name!r} before the command. Put options behind the command that they "
                f"are for: {ctx.command_path} COMMAND {fault.option_name}",
                ctx=ctx,
            ) from fault


class WholeNumber(click.IntRange):
    """An option type for whole numbers between `low` and `high`; a `high` of None permits any number from `low` on."""

    name = "number"

    def __init__(self, low: int, high: int | None = None) -> None:
        super().__init__(low, high)
        self._bounds = f"from {low} to {high:,}" if high else f"of at least {low}"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            return int(super().convert(cast("int", value), param, ctx))  # click annotates what it returns
        except click.BadParameter:
            self.fail(f"{value!r} is not a whole number {self._bounds}.", param, ctx)


class Number(click.ParamType[float]):
    """An option type for numbers from `low` to `high`, where these are given; an infinite one is refused."""

    name = "number"

    def __init__(self, low: float = -math.inf, high: float = math.inf) -> None:
        self._low, self._high = low, high

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = float(cast("str", value))
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and self._low <= number <= self._high):
            least = f" of at least {self._low:g}" if self._low > -math.inf else ""
            most = f" of at most {self._high:g}" if self._high < math.inf else ""
            self.fail(f"{value!r} is not a number{least}{most}.", param, ctx)
        return number


def example(command: click.Command) -> str:
    """Return the example in the help of a command; empty if it has none."""
    found = _EXAMPLE.search(command.help or "")
    return found[1] if found else ""


def refuse_together(*names: str) -> None:
    """Refuse options that contradict each other; `names` are those of parameters of the running command.

    Raises:
        UsageError: several are given.
    """
    if len(given := _given(names)) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]} contradict each other. Use only one of them.")


def require(needed: str, *names: str, why: str) -> None:
    """Refuse options that have no effect without another one; `why` completes "because …".

    Raises:
        UsageError: one of the parameters `names` is given, and `needed` is not.
    """
    if (given := _given(names)) and not _given([needed]):
        option = _longest(_parameter(needed))
        raise click.UsageError(f"{given[0]} requires {option}, because {why}. Add {option}, or remove {given[0]}.")


def _given(names: Sequence[str]) -> list[str]:
    """Return the options of those parameters that the command line has."""
    source = click.get_current_context().get_parameter_source
    return [_longest(_parameter(name)) for name in names if source(name) is ParameterSource.COMMANDLINE]


def _parameter(name: str) -> click.Parameter:
    return next(one for one in click.get_current_context().command.params if one.name == name)


def interrupted() -> NoReturn:
    """Report a Ctrl-C, and exit with its code."""
    click.echo("\nInterrupted.", err=True)  # the line break ends the line with the terminal's ^C
    sys.exit(INTERRUPTED)


def _refuse_repeats(order: Sequence[click.Parameter], ctx: click.Context) -> None:
    """Refuse what would silently replace an earlier option: the same one, or another form of it."""
    seen: dict[str | None, click.Option] = {}
    for option in order:
        if not isinstance(option, click.Option) or option.multiple or option.count:
            continue
        earlier = seen.setdefault(option.name, option)
        if earlier is not option:
            raise click.UsageError(
                f"{_longest(earlier)} and {_longest(option)} contradict each other. Use only one of them.", ctx=ctx
            )
        if [*order].count(option) > 1:
            raise click.UsageError(f"{_longest(option)} is given more than once. Give it only once.", ctx=ctx)


def _refuse_surplus(surplus: Sequence[str], ctx: click.Context) -> None:
    if surplus:
        takes = [one.make_metavar(ctx) for one in ctx.command.params if isinstance(one, click.Argument)]
        accepted = f"takes {' '.join(takes)} and options" if takes else "takes only options"
        raise _advised(
            click.UsageError(f"Unexpected argument {surplus[0]!r}: {ctx.command_path} {accepted}. Remove it."), ctx
        )


def _advised(fault: click.UsageError, ctx: click.Context, *, is_clear: bool = False) -> click.UsageError:
    """Return the error with the example of the command behind it, unless its message is clear by itself."""
    shown = "" if is_clear else example(ctx.command)
    message = fault.format_message()
    if message.endswith((os.strerror(errno.ENOENT), os.strerror(errno.EACCES))):  # of click's, about a file
        message += ". Name a file that exists and is readable."
    elif message.endswith("is not readable."):
        message += " Let this user read it, or name another one."
    return click.UsageError(f"{message} Example: {shown}" if shown else message, ctx=ctx)


def _longest(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len)
