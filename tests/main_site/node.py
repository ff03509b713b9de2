"""The main site's half compiled, the old backend's library installed: into a folder of their own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODULE = ROOT / "docs" / "main-site" / "images.ts"
CLIENT = ROOT / "docs" / "clients" / "image-service.ts"
CLIENT_TESTS = ROOT / "tests" / "clients"
BUILT = ROOT / "build" / "main-site"

LACKS = "needs node and npm: apt-get install nodejs npm, and 'npm install' once"


def is_there() -> bool:
    """Tell whether Node is here to run anything."""
    return bool(shutil.which("node") and shutil.which("npm"))


def prepare() -> Path:
    """Install what is locked and compile, unless both is done; return the folder of the result.

    One process at a time: test modules run in parallel.
    """
    BUILT.mkdir(parents=True, exist_ok=True)
    sources = [*HERE.glob("*.json"), *HERE.glob("*.mjs"), *CLIENT_TESTS.glob("*.mjs"), HERE / ".npmrc", MODULE, CLIENT]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()
    done = BUILT / ".done"
    with (BUILT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != digest:
            for path in sources:
                shutil.copy(path, BUILT / path.name)
            _run("npm", "ci", "--no-audit", "--no-fund", "--silent")
            _run("node_modules/.bin/tsc")
            done.write_text(digest)
    return BUILT


def check_tests(module: str, environment: dict[str, str], *, seconds: float) -> None:
    """Run the tests of a compiled module by Node's own runner; all have to pass, and none is skipped."""
    ended = subprocess.run(
        ["node", "--test", "--test-reporter", "tap", module],
        cwd=prepare(),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n# fail 0\n" in ended.stdout
    assert "\n# skipped 0\n" in ended.stdout


def _run(*command: str) -> None:
    subprocess.run(command, cwd=BUILT, check=True, stdout=sys.stderr)
