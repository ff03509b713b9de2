"""The commands of `gf-images`, as its help describes them."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, NamedTuple

import click

from proxy.cli.main import main
from tests.documents.reference.tables import code, prose, table

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "gf-images"

HELP = "-h, --help"
"""An option of every command, which is not repeated."""


class Described(NamedTuple):
    """A command that can be run, under its whole name."""

    name: str
    command: click.Command
    context: click.Context


def commands(group: click.Command = main, name: str = PROGRAM) -> Iterator[Described]:
    """Yield every command, those of subgroups included, in the order of the help."""
    context = click.Context(group, info_name=name, help_option_names=["-h", "--help"])
    if isinstance(group, click.Group):
        for part in group.list_commands(context):
            if command := group.get_command(context, part):
                yield from commands(command, f"{name} {part}")
    else:
        yield Described(name, group, context)


def commands_table(_: str) -> str:
    """Return every command with the first sentence of its help."""
    rows = ([f"[`{one.name}`](#{_anchor(one.name)})", _first_sentence(one.command)] for one in commands())
    return table(["command", "what it does"], rows)


def command_sections(_: str) -> str:
    """Return a section for each command: its usage, its help, its options."""
    return "\n\n".join(f"## {one.name}\n\n{_section(one)}" for one in commands())


def _section(one: Described) -> str:
    usage = " ".join((one.name, *one.command.collect_usage_pieces(one.context)))
    parts = [f"```text\n{usage}\n```", *_paragraphs(one.command.help or "")]
    if rows := [[code(names), prose(text)] for names, text in _options(one) if text and names != HELP]:
        parts.append(table(["option", "meaning"], rows))
    return "\n\n".join([*parts, *_more(one)])


def _options(one: Described) -> Iterator[tuple[str, str]]:
    for parameter in one.command.get_params(one.context):
        if record := parameter.get_help_record(one.context):
            yield record


def _more(one: Described) -> Iterator[str]:
    """Yield what a command prints below its options."""
    formatter = one.context.make_formatter()
    one.command.format_epilog(one.context, formatter)
    if text := inspect.cleandoc(formatter.getvalue()):
        yield f"```text\n{text}\n```"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b\n"):
            yield f"```text\n{paragraph[2:]}\n```"
        elif paragraph.startswith("Example: "):
            yield f"```sh\n{' '.join(paragraph.removeprefix('Example: ').split())}\n```"
        else:
            yield prose(paragraph)


def _first_sentence(command: click.Command) -> str:
    return prose(re.split(r"(?<=\.)\s", inspect.cleandoc(command.help or ""))[0])


def _anchor(name: str) -> str:
    return name.replace(" ", "-")
