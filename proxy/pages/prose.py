"""Sentences of the OpenAPI document, whose names of fields are between backticks, as HTML."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

_CODE: Final = re.compile(r"`([^`]+)`")


def prose(text: str) -> Markup:
    """Return a text as HTML: everything is escaped, and what is between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first
