"""A real Prometheus on loopback that asks services for their series, every second."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import msgspec

from loadtest.servers.ports import free_port
from tests.servers import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: images
    static_configs:
      - targets: [{targets}]
"""

START_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.05


class Sample(msgspec.Struct, frozen=True):
    """One series of an answer: its labels, and its value at a time."""

    metric: dict[str, str]
    value: tuple[float, str]


class _Samples(msgspec.Struct, frozen=True):
    result: list[Sample]


class _Answer(msgspec.Struct, frozen=True):
    data: _Samples


class Alert(msgspec.Struct, frozen=True):
    """An alert that is pending or firing."""

    labels: dict[str, str]
    annotations: dict[str, str]
    state: str


class _Alerts(msgspec.Struct, frozen=True):
    alerts: list[Alert]


class _AlertsAnswer(msgspec.Struct, frozen=True):
    data: _Alerts


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that was started."""

    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, expression: str) -> list[Sample]:
        """Evaluate an expression now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression})
        assert answer.is_success, (expression, answer.text)
        return msgspec.json.decode(answer.content, type=_Answer).data.result

    def alerts(self) -> dict[str, Alert]:
        """Give the alerts that are pending or firing, by their names."""
        answer = msgspec.json.decode(httpx.get(f"{self.url}/api/v1/alerts").content, type=_AlertsAnswer)
        return {alert.labels["alertname"]: alert for alert in answer.data.alerts}


@contextmanager
def asking(folder: Path, metrics_ports: Sequence[int], *, rules: str) -> Iterator[Prometheus]:
    """Lend a Prometheus that asks on these ports and evaluates these rules, within the block."""
    targets = ", ".join(f'"127.0.0.1:{port}"' for port in metrics_ports)
    (folder / "prometheus.yml").write_text(CONFIG.format(targets=targets))
    (folder / "rules.yml").write_text(rules)
    one = Prometheus()
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "series",
        "web.listen-address": f"127.0.0.1:{one.port}",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program("prometheus"), *words], stdout=log, stderr=log, cwd=folder)
    try:
        _wait_until_ready(one, process)
        yield one
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(one: Prometheus, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{one.url}/-/ready").is_success:
                return
        except httpx.TransportError:
            time.sleep(LOOK_EVERY_SECONDS)
    raise TimeoutError("Prometheus did not get ready")
