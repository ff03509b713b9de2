"""`python -m tests.documents`: write the generated blocks of docs/reference."""

from __future__ import annotations

from tests.documents.reference import pages

for path, text in pages().items():
    path.write_text(text, encoding="utf-8")
