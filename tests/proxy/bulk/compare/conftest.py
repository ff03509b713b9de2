"""Fixtures that run comparisons of two folders on the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from proxy.cli.main import main
from tests.proxy.bulk.compare.planted import PLANTS, SIZES, fill

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison: the result of the command, and the folder of its report."""

    result: Result
    folder: Path

    def events(self, kind: str) -> list[dict[str, object]]:
        """Return the events of one kind in the output."""
        told = [msgspec.json.decode(line) for line in self.result.stdout.splitlines()]
        return [event for event in told if event["event"] == kind]

    @property
    def page(self) -> str:
        """Return the page of the report."""
        return (self.folder / "index.html").read_text()


Compare = Callable[..., Comparison]


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two sides, `old` and `new`, and one planted difference per original."""
    folder = tmp_path_factory.mktemp("planted")
    plants = dict(enumerate(PLANTS.values(), start=1))
    for side in ("old", "new"):
        asyncio.run(fill(folder / side, side, plants))
    return folder


@pytest.fixture(scope="session")
def found(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Return the comparison of the planted sides."""
    folder = tmp_path_factory.mktemp("found")
    with pytest.MonkeyPatch.context() as patch:
        return comparing(folder, patch)(planted / "old", planted / "new", "--json")


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Return a function that compares two sides, with the sizes of the planted ones."""
    return comparing(tmp_path, monkeypatch)


def comparing(folder: Path, patch: pytest.MonkeyPatch) -> Compare:
    """Return a function that compares two sides and writes the report to `report` in a folder."""
    (folder / "sizes.toml").write_text(SIZES)
    patch.chdir(folder)
    patch.setenv("SIZES_FILE", str(folder / "sizes.toml"))
    (folder / "store").mkdir(exist_ok=True)
    patch.setenv("STORE", f"file://{folder}/store")

    def run(old: Path | str, new: Path | str, *words: str) -> Comparison:
        sides = "--old", str(old), "--new", str(new), "--report", str(folder / "report")
        result = CliRunner().invoke(main, ["compare", *sides, "--processes", "1", *words])
        return Comparison(result, folder / "report")

    return run
