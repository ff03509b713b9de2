"""`python -m tests.documents.reference`: write the generated blocks of docs/reference."""

from __future__ import annotations

from tests.documents.reference.pages import pages

for path, text in pages().items():
    path.write_text(text, encoding="utf-8")
