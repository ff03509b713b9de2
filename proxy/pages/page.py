"""Pages that are rendered from templates, and the headers that protect them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from litestar import Response

from proxy.pages.assets import PACKAGE, Assets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Environment

HTML: Final = "text/html"

NO_CACHE: Final = "no-cache"
"""Caches may keep a page, and ask each time whether it has changed."""

NAVIGATION: Final = (("/", "Start"), ("/schema", "API"), ("/problems", "Problems"))
"""The links at the top of every page: path and text."""


def content_security_policy(images: Sequence[str] = ()) -> str:
    """Return a policy that permits only what this host serves; `images` are further sources of images."""
    sources = "".join(f" {source}" for source in images)
    return "; ".join(
        (
            "default-src 'self'",
            f"img-src 'self'{sources}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def page_headers(images: Sequence[str] = ()) -> dict[str, str]:
    """Return the headers that every page has; `images` are sources of images besides this host, such as `blob:`."""
    return {
        "Cache-Control": NO_CACHE,
        "Content-Security-Policy": content_security_policy(images),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


@dataclass(slots=True, kw_only=True)
class Pages:
    """What pages share: the part of their addresses that a proxy strips, their assets, and the links at their top."""

    base_path: str = ""
    asset_folders: tuple[str, ...] = ("pages/assets",)
    navigation: tuple[tuple[str, str], ...] = NAVIGATION
    assets: Assets = field(init=False)
    _environment: Environment | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Find the assets later, when a page asks for one."""
        self.assets = Assets(self.asset_folders)

    def url(self, path: str) -> str:
        """Return the address of a path of this service, for links."""
        return f"{self.base_path}{path}"

    def render(self, template: str, **values: object) -> bytes:
        """Return a page, or a part of one. `template` is a path below `proxy`, such as `ui/templates/jobs.html`."""
        return self._templates().get_template(template).render(**values).encode()

    def response(
        self,
        template: str,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        images: Sequence[str] = (),
        **values: object,
    ) -> Response[bytes]:
        """Return the response with a page.

        `headers` are added, or replace those of other pages; `images` are sources of images besides this host.
        """
        return Response(
            self.render(template, **values),
            status_code=status_code,
            headers={**page_headers(images), **(headers or {})},
            media_type=HTML,
        )

    def _templates(self) -> Environment:
        if self._environment is None:
            # It needs 3 MB, which a service without visitors never uses.
            from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

            from proxy.pages.prose import prose  # noqa: PLC0415 - needs a part of the same library

            environment = Environment(
                loader=FileSystemLoader(PACKAGE),
                autoescape=True,
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
            )
            environment.globals |= {
                "asset": lambda name: self.url(self.assets.path(name)),
                "navigation": self.navigation,
                "url": self.url,
            }
            environment.filters["prose"] = prose
            self._environment = environment
        return self._environment
