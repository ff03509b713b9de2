"""Settings that are valid, but contradict each other or look like a mistake."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from proxy.removal.cdn.address import parse_address
from proxy.settings.settings import list_settings
from proxy.settings.validators import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.settings.settings import Settings

_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

_SIMILARITY: Final = 0.84
"""How similar a variable's name has to be, by `difflib`: `S3_ENDPOINT` is (0.85), `HOSTNAME` is not (0.67)."""

_OF_SENDERS: Final = ("WEBHOOK_SECRET",)
"""Variables of programs that sign, as the documentation names them; beside WEBHOOK_SECRETS they are no misspellings."""


def contradictions(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each contradiction between the settings and the environment they were read from.

    Values of unknown variables are never quoted: they may be secrets.
    """
    return [
        *_ports(settings),
        *_credentials(settings, environment),
        *_cdn(settings),
        *_pages(settings),
        *_unknown_variables(environment),
    ]


def _ports(settings: Settings) -> Iterator[str]:
    if settings.metrics_port == settings.port:
        yield f"METRICS_PORT: is {settings.port}, which is PORT too; set another port, or 0 for none"


def _credentials(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    given = [name for name in _CREDENTIALS if environment.get(name)]
    are_used = settings.store.startswith("s3://") or settings.cdn_purge.startswith("cloudfront:")
    if given and not are_used:
        yield (f"{given[0]}: is set, but STORE is a folder; set S3_BUCKET or STORE=s3://<bucket>, or remove {given[0]}")


def _cdn(settings: Settings) -> Iterator[str]:
    provider = parse_address(settings.cdn_purge).provider
    if settings.cdn_purge_token and not provider:
        yield "CDN_PURGE_TOKEN: is set, but CDN_PURGE is empty; set CDN_PURGE, or remove CDN_PURGE_TOKEN"
    if settings.cdn_purge_token and provider == "cloudfront":
        yield "CDN_PURGE_TOKEN: is ignored, because CloudFront uses the credentials of the bucket; remove it"
    if settings.versioned_redirects and provider not in ("", "cloudfront"):
        yield (
            f"CDN_PURGE: {provider} removes the copy of a URL, but not those of its versions, which "
            "VERSIONED_REDIRECTS=true adds; they stay until they expire"
        )


def _pages(settings: Settings) -> Iterator[str]:
    if settings.ui and not settings.ui_password and not is_loopback(settings.host):
        yield (
            f"UI_PASSWORD: is empty and HOST={settings.host} is a public address, so the pages of UI=true open only on "
            "this machine; set UI_PASSWORD to log in from elsewhere"
        )
    if settings.ui_password and not settings.ui:
        yield "UI_PASSWORD: is set, but UI is false; set UI=true, or remove UI_PASSWORD"


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    names = [setting.name for setting in list_settings()]
    known = [*names, *(f"{name}_FILE" for name in names)]
    for name in sorted({*environment} - {*known, *(_OF_SENDERS if "WEBHOOK_SECRETS" in environment else ())}):
        transposed = [one for one in known if sorted(one) == sorted(name.upper())]
        if similar := transposed or get_close_matches(name.upper(), known, n=1, cutoff=_SIMILARITY):
            yield f"{name}: is not a setting, and is ignored; is it {similar[0]}?"
