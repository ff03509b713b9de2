"""`gf-images openapi`: the OpenAPI document of the service."""

from __future__ import annotations

import click
import msgspec

from proxy.app.asgi import api_document
from proxy.app.wiring import build
from proxy.cli.console import env_file_option, read_settings_or_exit
from proxy.cli.usage import StrictCommand


@click.command(cls=StrictCommand)
@env_file_option
def openapi() -> None:
    """Print the OpenAPI document of the service.

    Exit codes: 0, printed; 2, usage error, or invalid settings.

    Example: gf-images openapi > openapi.json
    """
    settings = read_settings_or_exit(accepts_jobs=False)
    click.echo(msgspec.json.format(msgspec.json.encode(api_document(build(settings), settings))))
