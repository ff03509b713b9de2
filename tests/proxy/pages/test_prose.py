"""Texts of the document are shown as HTML, and remain text."""

from __future__ import annotations

import pytest

from proxy.pages.prose import prose


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Only `original` and `sizes`.", "Only <code>original</code> and <code>sizes</code>."),
        ("`<img onerror>`", "<code>&lt;img onerror&gt;</code>"),
        ("one ` alone <b>", "one ` alone &lt;b&gt;"),
        ("", ""),
    ],
)
def test_names_are_code_and_the_rest_is_escaped(text: str, shown: str) -> None:
    assert prose(text) == shown
