"""The paths of pages."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

LOGIN: Final = "/login"


def picture_path(key: str, **parameters: str) -> str:
    """Return the path of the page of a picture."""
    return f"/pictures/{quote(key, safe='/')}{query(parameters)}"


def stored_path(key: str, *, version: str = "") -> str:
    """Return the path of a stored file, for the pages only; a `version` may be cached for a day."""
    return f"/stored/{quote(key, safe='/')}{query({'v': version})}"


def job_path(job_id: str, part: str = "") -> str:
    """Return the path of the page of a job, or of a part of it."""
    return f"/jobs/{quote(job_id, safe='')}{f'/{part}' if part else ''}"


def login_path(following: str) -> str:
    """Return the path of the log-in, which continues with the page at the path `following`."""
    return f"{LOGIN}{query({'next': following if following != '/' else ''})}"


def is_own_path(path: str) -> bool:
    """Return whether a browser that is redirected to `path` stays on this host."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()


def query(parameters: dict[str, str]) -> str:
    """Return the query with those parameters that are not empty, or an empty text."""
    given = {name: value for name, value in parameters.items() if value}
    return f"?{urlencode(given)}" if given else ""
