"""`gf-images`: the service and its tools on the command line."""

from __future__ import annotations

import click
import msgspec

from proxy.app.asgi import routes
from proxy.app.wiring import build
from proxy.cli.check import check
from proxy.cli.compare import compare
from proxy.cli.console import read_settings_or_exit
from proxy.cli.promote import promote
from proxy.cli.remote.job_commands import jobs
from proxy.cli.remote.smoke import smoke
from proxy.cli.render import render
from proxy.cli.reprocess import reprocess
from proxy.cli.serve import serve, worker


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gallformers-images", prog_name="gf-images")
def main() -> None:
    """Render photographs in several sizes, without their metadata: by webhook, or on the first page view."""


for command in (serve, worker, jobs, smoke, render, reprocess, compare, promote, check):
    main.add_command(command)


@main.command("openapi")
def print_openapi() -> None:
    """Print the OpenAPI document of the service.

    Example: gf-images openapi > openapi.json
    """
    settings = read_settings_or_exit(accepts_jobs=False)
    click.echo(msgspec.json.format(msgspec.json.encode(routes(build(settings), settings).openapi_schema.to_schema())))
