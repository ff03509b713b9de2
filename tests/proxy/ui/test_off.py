"""A service without pages has no part of them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.proxy.http.conftest import serving

if TYPE_CHECKING:
    from pathlib import Path

IMPORTED = """
import sys
from pathlib import Path
from proxy.app.asgi import create_app
from proxy.app.wiring import build
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes
settings = Settings(sizes=read_sizes(Path(SIZES_FILE)))
create_app(build(settings), settings)
print([name for name in sys.modules if name.startswith("proxy.ui") or name == "jinja2"])
"""


def test_nothing_of_the_pages_is_imported() -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.anyio
async def test_no_path_of_the_pages_exists(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        for path in ("/jobs", "/pictures", "/status", "/login", "/stored/a_original.jpg"):
            assert (await site.client.get(path)).status_code == 404
