"""The benchmark beside other servers: what is computed from what was measured."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks.peers import plot, process_tree
from tests.benchmarks.peers.contenders import by_address
from tests.benchmarks.peers.peer_report import Measured
from tests.benchmarks.peers.rounds import FirstView, Repeated


def test_what_we_lose_comes_first_and_the_worst_of_it_at_the_top() -> None:
    views = [_view("ours", 0.2), _view("ours, 800 only", 0.1), _view("peer", 0.05)]
    repeated = [
        Repeated(contender="ours", kind="200", cpu_seconds=9e-5),
        Repeated(contender="nginx", kind="200", cpu_seconds=1e-5),
    ]

    text = Measured(machine="here", views=views, repeated=repeated).markdown()

    lost = text[: text.index("### First views")]
    assert lost.index("repeated 200") < lost.index("first view") < lost.index("one size")
    assert "| first view, first byte, ms | 200 | peer 50 | 4.0 |" in lost


def test_one_size_is_compared_with_the_service_that_has_only_one() -> None:
    views = [_view("ours", 0.2), _view("ours, 800 only", 0.1), _view("peer", 0.15)]

    lost = Measured(machine="here", views=views).markdown()

    assert "one size" not in lost


def test_charts_are_svg_with_every_name() -> None:
    names = ["ours", "a <peer>"]

    for chart in (
        plot.bars(dict.fromkeys(names, 1.0), unit="ms"),
        plot.points(dict.fromkeys(names, (1, 2)), across="", up=""),
    ):
        texts = [element.text for element in ET.fromstring(chart).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
        assert set(names) <= set(texts)


def test_the_processor_time_of_a_child_that_ended_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    before = process_tree.cpu_seconds(os.getpid())

    subprocess.run([sys.executable, "-c", burn], check=True)

    assert process_tree.cpu_seconds(os.getpid()) - before >= 0.19


def test_a_server_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert process_tree.listening_on(server.getsockname()[1]) == os.getpid()


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ("imgproxy=http://127.0.0.1:{port}", "/unsafe/rs:fit:800:0/plain/http://origin/a.jpg"),
        ("mine=http://127.0.0.1:{port}/{{width}}/{{quality}}/{{key}}", "/800/80/a.jpg"),
    ],
)
def test_a_peer_by_its_address_is_requested_by_its_own_paths(told: str, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        contender = by_address(told.format(port=server.getsockname()[1]), "http://origin")
        with contender.started(Path()) as endpoint:
            assert endpoint.address("a.jpg", 800) == url + path


@pytest.mark.parametrize(
    "told", ["http://127.0.0.1:1/", "other=http://127.0.0.1:1", "other=http://127.0.0.1:1/{width}"]
)
def test_a_peer_without_a_name_or_a_path_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match="NAME=URL"):
        by_address(told, "")


def _view(contender: str, seconds: float) -> FirstView:
    return FirstView(
        contender=contender,
        photo="one",
        first_byte_seconds=seconds,
        cpu_seconds=seconds,
        page_cpu_seconds=seconds,
        bytes=1,
    )
