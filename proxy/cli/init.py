"""`gf-images init` and `gf-images secret`: a first settings file, and the secret that signs requests."""

from __future__ import annotations

import base64
import os
import secrets
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from proxy.cli.console import how_to_call
from proxy.cli.usage import StrictCommand
from proxy.settings.settings import list_settings

SECRET_BYTES: Final = 32
"""Random bytes of a new secret; the Standard Webhooks scheme allows 24 to 64."""

OWNER_ONLY: Final = 0o600

SHOWN: Final = ("HOST", "PORT", "STORE", "PUBLIC_BASE_URL", "QUEUE", "LOG_FORMAT")
"""The settings that a new file mentions with their defaults."""


@click.command(cls=StrictCommand)
@click.argument("file", type=click.Path(path_type=Path), default=".env")
def init(file: Path) -> None:
    """Write a settings file with a new secret.

    FILE is .env by default. Only its owner can read it, and a file that exists is never replaced. The other settings in
    it are comments with their defaults.

    Exit codes: 0, written; 1, writing it failed; 2, usage error, or FILE exists or cannot be created.

    Example: gf-images init .env
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    except FileExistsError as fault:
        raise click.UsageError(
            f"FILE: {file} exists, and is never replaced. Use it with: gf-images serve --env-file "
            f"{shlex.quote(str(file))}, or name another file."
        ) from fault
    except OSError as fault:
        raise click.UsageError(
            f"FILE: {file} cannot be created ({fault.strerror}). Name a file in a folder that exists and is writable."
        ) from fault
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            os.fchmod(descriptor, OWNER_ONLY)  # whatever the umask is
            opened.write(_content(new_secret()))
    except OSError as fault:
        with suppress(OSError):
            file.unlink()
        raise click.ClickException(
            f"{file} cannot be written ({fault.strerror}). Nothing is left of it; free some space, and repeat."
        ) from fault
    call, name = how_to_call(), shlex.quote(str(file))
    click.echo(f"Wrote {file}, with a new secret in WEBHOOK_SECRETS. Only you can read it; keep it out of git.")
    click.echo(f"\nNext:\n  {call} check --env-file {name}\n  {call} serve --env-file {name}")


@click.command(cls=StrictCommand)
def secret() -> None:
    """Print a new secret for signed requests.

    It is one for WEBHOOK_SECRETS of the service, and for the programs that sign requests to it. Every call prints
    another one.

    Exit codes: 0, printed; 2, usage error.

    Example: WEBHOOK_SECRETS=$(gf-images secret) gf-images serve
    """
    click.echo(new_secret())


def new_secret() -> str:
    """Return a new secret as the Standard Webhooks scheme writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _content(new: str) -> str:
    settings = {one.name: one for one in list_settings()}
    lines = [
        "# Settings of the image service, one NAME=value a line.",
        "",
        f"# {settings['WEBHOOK_SECRETS'].description}",
        f"WEBHOOK_SECRETS={new}",
    ]
    for name in SHOWN:
        lines += ["", f"# {settings[name].description}", f"# {name}={settings[name].default}"]
    return "\n".join(lines) + "\n"
