"""The main site's half in Node, against a service that runs, and against ones that do not as they should."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.ports import free_port
from loadtest.servers.service import SECRET, running
from tests.clients.vectors import VECTORS
from tests.main_site import node

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(not node.is_there(), reason=node.LACKS),
    pytest.mark.timeout(600),
]


def test_the_sites_half_orders_falls_back_and_loses_no_upload(tmp_path: Path) -> None:
    node.prepare()
    port = free_port()
    paint(tmp_path / "photo.jpg", Photograph(width=600, height=450, orientation=6, gps=True))
    (tmp_path / "text.jpg").write_text("this is not a picture")
    with running(tmp_path, CALLBACK_HOSTS=f"http://127.0.0.1:{port}") as service:
        node.check_tests(
            "images.test.mjs",
            {
                "SERVICE_URL": service.url,
                "WEBHOOK_SECRET": SECRET,
                "STORE": str(service.store),
                "PHOTO": str(tmp_path / "photo.jpg"),
                "NO_PHOTO": str(tmp_path / "text.jpg"),
                "CALLBACK_PORT": str(port),
                "VECTORS": str(VECTORS),
            },
            seconds=500,
        )


def test_the_module_needs_the_client_beside_it_and_no_package() -> None:
    needed = re.findall(r' from "(.*)";', node.MODULE.read_text(encoding="utf-8"))
    assert set(needed) == {"./image-service"}
