"""`gf-images`: the service and its tools on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "check": "proxy.cli.check",
    "compare": "proxy.cli.bulk.compare",
    "export": "proxy.cli.bulk.export",
    "facts": "proxy.cli.facts",
    "info": "proxy.cli.info",
    "jobs": "proxy.cli.remote.job_commands",
    "openapi": "proxy.cli.openapi",
    "promote": "proxy.cli.bulk.promote",
    "render": "proxy.cli.render",
    "reprocess": "proxy.cli.bulk.reprocess",
    "serve": "proxy.cli.serve",
    "smoke": "proxy.cli.remote.smoke",
    "takedown": "proxy.cli.remote.takedown_command",
    "worker": "proxy.cli.serve",
}
"""The module of each command, which has its name there."""


class LazyGroup(click.Group):
    """A group that imports the module of a command when it is used: those that do not run would cost a service 8 MB."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a command, or None if there is none of this name."""
        module = COMMANDS.get(cmd_name)
        command = getattr(import_module(module), cmd_name) if module else None
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gallformers-images", prog_name="gf-images")
def main() -> None:
    """Render photographs in several sizes, without their metadata: by webhook, or on the first page view."""
