"""`gf-images`: the service and its tools on the command line."""

from __future__ import annotations

import click
import msgspec

from proxy.app.asgi import routes
from proxy.app.wiring import build
from proxy.cli.compare import compare
from proxy.cli.console import read_settings_or_exit
from proxy.cli.promote import promote
from proxy.cli.render import render
from proxy.cli.reprocess import reprocess
from proxy.cli.serve import serve, worker
from proxy.settings.settings import Setting, list_settings
from proxy.settings.validators import mask_passwords


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gallformers-images", prog_name="gf-images")
def main() -> None:
    """Render photographs in several sizes, without their metadata: by webhook, or on the first page view."""


for command in (serve, worker, render, reprocess, compare, promote):
    main.add_command(command)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def check(*, as_json: bool) -> None:
    """Validate and print the settings, with secrets masked.

    Exit codes: 0, valid; 2, invalid, with every error listed.

    Example: PORT=80 gf-images check
    """
    settings = read_settings_or_exit()
    values = {one.name: _masked(getattr(settings, one.name.lower()), one) for one in list_settings()}
    if as_json:
        click.echo(msgspec.json.encode(values))
        return
    for name, value in values.items():
        click.echo(f"{name}={value}")
    for size in settings.sizes:
        click.echo(f"size {size.name}: width {size.width}, fit {size.fit}")


@main.command("openapi")
def print_openapi() -> None:
    """Print the OpenAPI document of the service.

    Example: gf-images openapi > openapi.json
    """
    settings = read_settings_or_exit(accepts_jobs=False)
    click.echo(msgspec.json.format(msgspec.json.encode(routes(build(settings), settings).openapi_schema.to_schema())))


def _masked(value: object, setting: Setting) -> object:
    if setting.is_secret and value:
        return "***"
    return mask_passwords(value) if isinstance(value, str) else value
