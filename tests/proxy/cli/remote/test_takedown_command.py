"""`gf-images takedown` against a running service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from loadtest.servers.service import SECRET, Service, running
from proxy.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), STREAM_CACHE_MB="0") as one:
        yield one


def run(service: Service, *words: str) -> Result:
    return CliRunner().invoke(main, ["takedown", *words], env={"SERVICE_URL": service.url, "WEBHOOK_SECRETS": SECRET})


def test_it_waits_until_the_picture_is_gone_and_prints_the_receipt(service: Service, photo: Path) -> None:
    key = "a [b]/1 +_original.jpg"
    service.put(key, photo)
    done = run(service, key, "--wait", "60")
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"removed {key}, versions: 1, {photo.stat().st_size:,} bytes" in " ".join(done.stdout.split())
    assert not (service.store / key).exists()


def test_a_key_that_the_store_does_not_have_is_doubted(service: Service) -> None:
    done = run(service, "gall/9/9_1_original.jpg", "--wait", "60")
    assert "nothing: the store had no file of this picture. Is the key right?" in " ".join(done.stdout.split())


def test_what_is_accepted_is_printed_as_json_beside_what_is_refused(service: Service) -> None:
    done = run(service, "gall/1/1_1_original.jpg", "gall/1/1_1_small.jpg", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["key"] == "gall/1/1_1_original.jpg"
    assert done.stderr.startswith("gall/1/1_1_small.jpg: Invalid key (400).")
