"""The factory of queues."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from proxy.errors import QueueUnavailable
from proxy.queues.factory import open_queue

if TYPE_CHECKING:
    from pathlib import Path


def test_three_slashes_are_a_relative_path_and_four_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert repr(open_queue("sqlite:///var/queue.db", name="images")) == (
        f"SqliteQueue<path={tmp_path}/var/queue.db, name='images'>"
    )
    assert repr(open_queue("sqlite:////var/queue.db", name="images")) == (
        "SqliteQueue<path=/var/queue.db, name='images'>"
    )


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://queue.db"])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(QueueUnavailable, match="three slashes"):
        open_queue(url, name="images")


@pytest.mark.parametrize("url", ["", "queue.db", "mysql://user:secret@host/queue", "http://host"])
def test_an_unknown_scheme_is_refused_without_quoting_the_url(url: str) -> None:
    with pytest.raises(QueueUnavailable, match="QUEUE must start with") as refusal:
        open_queue(url, name="images")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [("redis://host", "redis", "redis"), ("postgresql://host/queue", "psycopg", "postgres")],
)
def test_a_missing_extra_is_named_with_the_line_that_installs_it(url: str, package: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from proxy.queues.factory import open_queue\nopen_queue({url!r}, name='images')"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert f"needs the {extra} extra: pip install 'gallformers-images[{extra}]'" in answer.stderr


def test_the_clients_of_servers_are_not_loaded_for_the_embedded_queue() -> None:
    program = (
        "import sys\nfrom proxy.queues.factory import open_queue\nopen_queue('sqlite:///queue.db', name='images')\n"
        "sys.exit(bool({'redis', 'psycopg'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@host:port",
        "redis://:hunter2@host?socket_timeout=red",
        "postgresql://images:hunter2@host/queue?colour=red",
        "postgresql://images:hunter%2@host/queue",
    ],
)
def test_an_address_that_makes_no_sense_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(QueueUnavailable, match="must be a URL such as") as refusal:
        open_queue(url, name="images")
    assert "hunter" not in str(refusal.value)
    assert refusal.value.__cause__ is None
