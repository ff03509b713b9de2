"""`python -m tests.documents.site`: build the documentation site into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.documents.site.build import ROOT, Unbuilt, build

try:
    site = build(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build")
except Unbuilt as unbuilt:
    sys.exit(f"The documentation has faults:\n{unbuilt}")
sys.stdout.write(f"The documentation is in {site}/index.html; a browser can open it without a server.\n")
