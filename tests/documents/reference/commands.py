"""The commands of `gf-images`, as its help describes them."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, NamedTuple

import click

from proxy.cli.main import main
from tests.documents.reference.tables import code, linked, table

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "gf-images"


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
    options = [
        record for param in one.command.get_params(one.context) if (record := param.get_help_record(one.context))
    ]
    rows = ([code(names), linked(_escaped(text))] for names, text in options)
    return "\n\n".join(
        [
            f"```text\n{usage}\n```",
            *_paragraphs(one.command.help or ""),
            table(["option", "meaning"], rows),
            *_more(one),
        ]
    )


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
            yield linked(_escaped(paragraph))


def _escaped(text: str) -> str:
    """Return a text of the terminal as Markdown: words in angle brackets and options are code."""
    return re.sub(r"(?<![\w`/-])(--[a-z][a-z-]*|<[\w-]+>)", r"`\1`", text)


def _first_sentence(command: click.Command) -> str:
    return linked(_escaped(re.split(r"(?<=\.)\s", inspect.cleandoc(command.help or ""))[0]))


def _anchor(name: str) -> str:
    return name.replace(" ", "-")
