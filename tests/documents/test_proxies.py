"""The configurations of docs/how-to/behind-a-proxy.md, in real proxies in front of a service."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.ports import free_port
from loadtest.servers.service import running, signed
from tests.documents.blocks import ROOT, blocks
from tests.servers import program
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs" / "how-to" / "behind-a-proxy.md"
HOST = "images.example.org"
KEYS = ["gall/1/1_1_original.jpg", "gall/1/100%25 oak+gall_original.jpg", "gall/1/Galläpfel_original.jpg"]
"""Keys of which a proxy makes others if it decodes a path and encodes it again, or decodes it twice."""

_NGINX = """daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
uwsgi_temp_path {folder}/uwsgi; fastcgi_temp_path {folder}/fastcgi; scgi_temp_path {folder}/scgi;
{servers}
}}"""
_CADDY = "{{\n\tadmin off\n\tauto_https off\n}}\n{servers}"


def configuration(kind: str, phrase: str, folder: Path, *, service: int, port: int) -> str:
    """Return an example of the page for a service on loopback, and for a port of a proxy without TLS."""
    (example,) = (block.text for block in blocks(PAGE) if block.kind == kind and phrase in block.text)
    lines = [line for line in example.splitlines() if "ssl_certificate" not in line and "listen" not in line]
    servers = "\n".join(lines).replace("127.0.0.1:8080", f"127.0.0.1:{service}")
    servers = servers.replace("server {", f"server {{\n listen 127.0.0.1:{port};")
    servers = servers.replace(f"{HOST} {{", f"http://127.0.0.1:{port} {{")
    return {"nginx": _NGINX, "caddy": _CADDY}[kind].format(folder=folder, servers=servers)


@contextmanager
def proxying(kind: str, text: str, folder: Path) -> Iterator[None]:
    """Run a proxy with this configuration; it may not be ready yet."""
    path = folder / "configuration"
    path.write_text(text, encoding="utf-8")
    command = {
        "nginx": ("nginx", "-c", str(path), "-e", str(folder / "error.log")),
        "caddy": ("caddy", "run", "--adapter", "caddyfile", "--config", str(path)),
    }[kind]
    own = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([program(command[0]), *command[1:]], env=own, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "phrase", "base_path"),
    [
        pytest.param("nginx", "ssl_certificate", "", marks=pytest.mark.needs("nginx", "nginx")),
        pytest.param("nginx", "$stripped", "/images", marks=pytest.mark.needs("nginx", "nginx")),
        pytest.param("caddy", "reverse_proxy", "", marks=pytest.mark.needs("caddy", "caddy")),
    ],
)
async def test_keys_and_signatures_pass_through_a_proxy(kind: str, phrase: str, base_path: str, tmp_path: Path) -> None:
    port = free_port()
    paint(tmp_path / "photo.jpg", Photograph(width=60, height=45))
    with running(tmp_path, BASE_PATH=base_path) as service:
        text = configuration(kind, phrase, tmp_path, service=service.port, port=port)
        with proxying(kind, text, tmp_path):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

                async def ready() -> bool:
                    try:
                        return (await client.get(f"{base_path}/readyz")).is_success
                    except httpx.TransportError:
                        return False

                await until(ready)
                for key in KEYS:
                    service.put(key, tmp_path / "photo.jpg")
                    answer = await client.get(f"{base_path}/img/{quote(key)}/small", follow_redirects=True)
                    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
                    address = f"{base_path}/v1/jobs?key={quote(key, safe='')}"
                    headers = signed(f"GET {address}".encode())
                    assert (await client.get(address, headers=headers)).status_code == 200
