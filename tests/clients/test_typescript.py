"""The client for TypeScript, compiled and run in Node, against a running service."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.ports import free_port
from loadtest.servers.service import SECRET, running
from tests.clients.pictures import NAMED
from tests.clients.test_python import BAD_SECRETS, KEY, OTHER_SECRET, client
from tests.main_site import node

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(not node.is_there(), reason=node.LACKS),
    pytest.mark.timeout(600),
]

NO_PICTURE = "gall/58/58_2_original.jpg"


def html_of_python() -> dict[str, str]:
    base = "https://a.test/x/"
    display = {"alt": '"a" & <b>', "sizes": "50vw", "base": base}
    shown = {name: client.img(one, **display) for name, one in NAMED.items()}
    shown |= {f"{name} otherwise": client.img(one, **display, otherwise="/img/a/medium") for name, one in NAMED.items()}
    return shown | {f"{name} srcset": client.srcset(one, base=base) for name, one in NAMED.items()}


def test_the_client_posts_verifies_and_writes_the_html_of_the_client_for_python(tmp_path: Path) -> None:
    node.prepare()
    port = free_port()
    with running(tmp_path, CALLBACK_HOSTS=f"http://127.0.0.1:{port}") as service:
        paint(tmp_path / "photo.jpg", Photograph(width=512, height=384))
        service.put(KEY, tmp_path / "photo.jpg")
        (tmp_path / "text.jpg").write_text("this is not a picture")
        service.put(NO_PICTURE, tmp_path / "text.jpg")
        node.check_tests(
            "client.test.mjs",
            {
                "SERVICE_URL": service.url,
                "WEBHOOK_SECRET": SECRET,
                "OTHER_SECRET": OTHER_SECRET,
                "BAD_SECRETS": json.dumps(BAD_SECRETS),
                "KEY": KEY,
                "NO_PICTURE": NO_PICTURE,
                "CALLBACK_PORT": str(port),
                "PICTURES": json.dumps(NAMED),
                "HTML": json.dumps(html_of_python()),
            },
            seconds=120,
        )


def test_the_client_runs_where_only_its_types_are_stripped() -> None:
    strict = "--strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --noPropertyAccessFromIndexSignature"
    syntax = "--erasableSyntaxOnly --verbatimModuleSyntax --isolatedModules --target es2022"
    modules = "--module esnext --moduleResolution bundler --types node"
    checked = subprocess.run(
        ["node_modules/.bin/tsc", *f"{strict} {syntax} {modules}".split(), "--noEmit", "image-service.ts"],
        cwd=node.prepare(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (checked.stdout, checked.returncode) == ("", 0)


def test_the_client_needs_no_package() -> None:
    assert "import " not in node.CLIENT.read_text(encoding="utf-8").replace("* ", "")
