"""`gf-images openapi`: the OpenAPI document of the service."""

from __future__ import annotations

import click
import msgspec

from proxy.app.asgi import routes
from proxy.app.wiring import build
from proxy.cli.console import read_settings_or_exit


@click.command()
def openapi() -> None:
    """Print the OpenAPI document of the service.

    Example: gf-images openapi > openapi.json
    """
    settings = read_settings_or_exit(accepts_jobs=False)
    click.echo(msgspec.json.format(msgspec.json.encode(routes(build(settings), settings).openapi_schema.to_schema())))
