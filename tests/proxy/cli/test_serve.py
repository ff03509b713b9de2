"""`gf-images serve` on a terminal: its examples and its log are for people."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from loadtest.servers.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path


def test_on_a_terminal_it_logs_for_people_and_its_examples_come_once_it_listens(tmp_path: Path) -> None:
    port, (terminal, side) = free_port(), pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "LOG_FORMAT"} | {"METRICS_PORT": "0"}
    (tmp_path / "store").mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "proxy", "serve", "--hints", "--port", str(port), "--store", f"file://{tmp_path}/store"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=side,
        text=True,
    ) as process:
        os.close(side)
        assert process.stdout
        shown = ""
        while "listens on" not in shown:
            line = process.stdout.readline()
            assert line, "it ended"
            shown += line
        with socket.create_connection(("127.0.0.1", port)):  # at once, because it listens
            process.terminate()
        shown += process.stdout.read()
        logged = os.read(terminal, 1 << 16).decode()
        assert process.wait(timeout=60) == 0
    os.close(terminal)
    assert f"curl -i http://127.0.0.1:{port}/img/" in shown
    assert "gf-images --help" in shown
    plain = logged.replace("\x1b[0m", "").replace("\x1b[1m", "")
    assert plain.startswith("listening")
    assert "\x1b[" in logged
