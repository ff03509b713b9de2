"""What the benchmark needs besides this project: the peers, installed into a folder of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NODE_PACKAGES = ("ipx@3.1.1", "sharp@0.35.5")
PYTHON_PACKAGES = ("thumbor==7.8.0",)
DEBIAN_PACKAGE = "nginx"


def install(folder: Path) -> None:
    """Install what is not installed there yet; needs node, npm and apt-get."""
    wanted = "\n".join((*NODE_PACKAGES, *PYTHON_PACKAGES, DEBIAN_PACKAGE))
    stamp = folder / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    debian = folder / "debian"
    debian.mkdir(parents=True, exist_ok=True)
    _run("npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), *NODE_PACKAGES)
    _run(sys.executable, "-m", "venv", str(folder / "venv"))
    _run(str(folder / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *PYTHON_PACKAGES)
    _run("apt-get", "download", "--quiet", DEBIAN_PACKAGE, folder=debian)
    _run("dpkg", "-x", *(path.name for path in debian.glob("*.deb")), ".", folder=debian)
    stamp.write_text(wanted, encoding="utf-8")


def _run(*command: str, folder: Path | None = None) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr, cwd=folder)
