"""What the benchmark needs besides this project: its peers, installed into a folder of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NODE_PACKAGES = ("sharp@0.35.5", "jimp@1.6.1")
PYTHON_PACKAGES = ("Pillow==13.0.0",)


def install(folder: Path) -> None:
    """Install what is not installed there yet; needs node, npm and the package registries."""
    wanted = "\n".join((*NODE_PACKAGES, *PYTHON_PACKAGES))
    stamp = folder / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _run("npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), *NODE_PACKAGES)
    _run(sys.executable, "-m", "venv", str(folder / "venv"))
    _run(str(folder / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *PYTHON_PACKAGES)
    stamp.write_text(wanted, encoding="utf-8")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)
