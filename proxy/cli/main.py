"""`gf-images`: the service and its tools on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from proxy import SUMMARY
from proxy.cli.usage import OrderedGroup, interrupted

COMMANDS: Final = {
    "check": "proxy.cli.check",
    "compare": "proxy.cli.bulk.compare",
    "export": "proxy.cli.bulk.export",
    "facts": "proxy.cli.facts",
    "info": "proxy.cli.info",
    "init": "proxy.cli.init",
    "jobs": "proxy.cli.remote.job_commands",
    "openapi": "proxy.cli.openapi",
    "promote": "proxy.cli.bulk.promote",
    "render": "proxy.cli.render",
    "reprocess": "proxy.cli.bulk.reprocess",
    "secret": "proxy.cli.init",
    "serve": "proxy.cli.serve",
    "smoke": "proxy.cli.remote.smoke",
    "takedown": "proxy.cli.remote.takedown_command",
    "worker": "proxy.cli.serve",
}
"""The module of each command, which has its name there."""


class LazyGroup(OrderedGroup):
    """A group that imports the module of a command when it is used: those that do not run would cost a service 8 MB."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a command, or None if there is none of this name."""
        module = COMMANDS.get(cmd_name)
        command = getattr(import_module(module), cmd_name) if module else None
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command and its arguments.

        Raises:
            NoSuchCommand: there is none of this name; similar ones are named.
        """
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a Ctrl-C that it does not handle ends it with 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            interrupted()


HELP: Final = f"""{SUMMARY}

Exit codes of every command: 0, done; 1, it failed; 2, the options or the settings are invalid; 130, Ctrl-C. The help
of a command has what they mean there.
"""


@click.group(
    cls=LazyGroup, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="gallformers-images", prog_name="gf-images")
def main() -> None:
    """Run a command."""
