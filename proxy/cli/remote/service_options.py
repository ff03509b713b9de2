"""The options of commands that call a service, and the client that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from proxy.cli.console import ParsedOption, checked, env_file_option, read_settings_or_exit
from proxy.settings import validators

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from proxy.cli.remote.service_client import ServiceClient
    from proxy.settings.settings import Settings

Command = TypeVar("Command", bound="Callable[..., object]")

EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on
"""An address to listen on -> an address of this machine to call."""

SERVICE_URL = ParsedOption("url", checked(validators.service_url))
"""The type of options and arguments that are the URL of a service; empty without one."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead of a table.")


def service_options(command: Command) -> Command:
    """Add the options --url, --secret-file and --env-file."""
    url = click.option(
        "--url", type=SERVICE_URL, default="", help="URL of the service; default: SERVICE_URL, else HOST and PORT."
    )
    secret_file = click.option(
        "--secret-file",
        type=click.File(),
        help="File with the secret that signs requests, or - for standard input; default: WEBHOOK_SECRETS.",
    )
    return url(secret_file(env_file_option(command)))


def client_of(url: str, secret_file: TextIO | None, settings: Settings | None = None) -> ServiceClient:
    """Return the client of the service that options and settings describe.

    Exits with 2 if the settings are invalid.

    Raises:
        UsageError: the secret has an invalid form.
    """
    # Imported only here: httpx costs memory that `gf-images serve` saves.
    from proxy.cli.remote.service_client import ServiceClient  # noqa: PLC0415 - see above

    settings = settings or read_settings_or_exit(accepts_jobs=False)
    secrets = secret_file.read() if secret_file else settings.webhook_secrets
    if secret_file and (fault := validators.secrets(secrets.strip()) if secrets.strip() else "is empty"):
        raise click.UsageError(f"--secret-file: {fault}")
    secret = next(iter(validators.split(secrets.strip())), None)
    where = url or settings.service_url or local_url(settings)
    return ServiceClient(where, secret=secret, origin=settings.public_origin)


def local_url(settings: Settings) -> str:
    """Return the URL of a service with these settings on this machine."""
    host = EVERY_ADDRESS.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
