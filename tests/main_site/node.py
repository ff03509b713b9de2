"""The main site's half compiled, the old backend's library installed: into a folder of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODULE = ROOT / "docs" / "main-site" / "images.ts"
BUILT = ROOT / "build" / "main-site"

LACKS = "needs node and npm: apt-get install nodejs npm, and 'npm install' once"


def is_there() -> bool:
    """Tell whether Node is here to run anything."""
    return bool(shutil.which("node") and shutil.which("npm"))


def prepare() -> Path:
    """Install what is locked, unless it is there, and compile; give the folder in which all is."""
    BUILT.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_bytes()
    installed = BUILT / ".installed"
    for path in (*HERE.glob("*.json"), *HERE.glob("*.mjs"), HERE / ".npmrc", MODULE):
        shutil.copy(path, BUILT / path.name)
    if not installed.exists() or installed.read_bytes() != lock:
        _run("npm", "ci", "--no-audit", "--no-fund", "--silent")
        installed.write_bytes(lock)
    _run("node_modules/.bin/tsc")
    return BUILT


def _run(*command: str) -> None:
    subprocess.run(command, cwd=BUILT, check=True, stdout=sys.stderr)
