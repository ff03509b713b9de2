"""Clients that are generated from the OpenAPI document post a signed job to a running service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import SECRET, Service, running
from tests.main_site import node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

KEY = "gall/58/58_1_original.jpg"

PROGRAM = """
import sys, time
from standardwebhooks import Webhook
from datetime import datetime, timezone
from generated import Client
from generated.api.jobs import create_job, get_job, list_jobs
from generated.models import CreateJobBody, Job, JobList, ListJobsStatus

url, secret, key = sys.argv[1:]
client = Client(base_url=url)

def signed(content):
    now = datetime.now(tz=timezone.utc)
    name = f"msg_{now.timestamp()}"
    return {
        "webhook_id": name,
        "webhook_timestamp": str(int(now.timestamp())),
        "webhook_signature": Webhook(secret).sign(name, now, content),
    }

import json
body = CreateJobBody(key=key)
content = client.get_httpx_client().build_request("POST", "/", json=body.to_dict()).content.decode()
job = create_job.sync(client=client, body=body, **signed(content))
assert isinstance(job, Job), job
while job.status not in ("done", "error"):
    time.sleep(0.05)
    job = get_job.sync(job.id, client=client)
page = list_jobs.sync(client=client, status=ListJobsStatus.DONE, **signed("GET /v1/jobs?status=done&limit=50"))
assert isinstance(page, JobList), page
print(job.status, len(job.derivatives), page.jobs[0].id == job.id)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with running(folder) as one:
        paint(folder / "photo.jpg", Photograph(width=640, height=480))
        one.put(KEY, folder / "photo.jpg")
        yield one


@pytest.fixture(scope="module")
def document(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(httpx.get(f"{service.url}/schema/openapi.json").content)
    return path


def test_a_client_generated_for_python_posts_a_job(service: Service, document: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"content_type_overrides": {"image/*": "application/octet-stream"}}))
    run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"],
        f"--config={config}",
        f"--path={document}",
        f"--output-path={tmp_path / 'generated'}",
        folder=tmp_path,
    )
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    told = run([sys.executable, "program.py", service.url, SECRET, KEY], folder=tmp_path)
    assert told.split() == ["done", "4", "True"]


@pytest.mark.skipif(not node.is_there(), reason=node.LACKS)
def test_types_generated_for_typescript_compile_and_post_a_job(
    service: Service, document: Path, tmp_path: Path
) -> None:
    built = node.prepare()
    shutil.copy(node.CLIENT_TESTS / "generated.mts", tmp_path)
    (tmp_path / "node_modules").symlink_to(built / "node_modules")
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    tools = tmp_path / "node_modules/.bin"
    run([str(tools / "openapi-typescript"), str(document), "--output", "schema.ts"], folder=tmp_path)
    options = ["--strict", "--module", "nodenext", "--target", "es2023", "--skipLibCheck", "--types", "node"]
    run([str(tools / "tsc"), *options, "generated.mts", "schema.ts"], folder=tmp_path)
    told = run(["node", "generated.mjs", service.url, SECRET, KEY], folder=tmp_path)
    assert told.split() == ["done", "4"]


def run(command: list[str], *more: str, folder: Path) -> str:
    """Run a program that must succeed, and return what it printed."""
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", "")))  # noqa: PTH120 - no path
    ended = subprocess.run(
        [*command, *more],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
