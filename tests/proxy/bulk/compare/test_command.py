"""`gf-images compare` on the command line: usage errors, kills, stops."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from proxy.bulk.own_folder import MARKER
from tests.proxy.bulk.compare.planted import PLANTS, SIZES, key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.proxy.bulk.compare.conftest import Compare

Event = dict[str, object]

REPORT = ["index.html", "pictures", "report.json"]
"""What a comparison leaves in the folder of its report, beside the marker."""


class Command:
    """One `gf-images compare --json` in a subprocess, read event by event."""

    def __init__(self, planted: Path, folder: Path, *words: str) -> None:
        (folder / "sizes.toml").write_text(SIZES)
        sides = "--old", f"{planted}/old", "--new", f"{planted}/new", "--report", f"{folder}/report"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "proxy", "compare", *sides, "--processes", "1", "--json", *words],
            env={**os.environ, "SIZES_FILE": f"{folder}/sizes.toml", "STORE": f"file://{folder}/store"},
            stdout=subprocess.PIPE,
        )
        self.told: list[Event] = []

    def hear(self, number: int | None = None) -> list[Event]:
        """Read until `number` differences were reported, or to the end; return the differences."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.told.append(msgspec.json.decode(line))
            if len(self.differs) == number:
                break
        return self.differs

    @property
    def differs(self) -> list[Event]:
        """Return the differences read so far."""
        return [event for event in self.told if event["event"] == "differs"]

    @property
    def already_compared(self) -> int:
        """Return how many originals were already compared at the start."""
        (started,) = [event for event in self.told if event["event"] == "started"]
        return cast("int", started.get("already_compared", 0))

    def end(self, signum: int) -> int:
        """Send a signal, read the rest of the output, return the exit code."""
        self.process.send_signal(signum)
        self.hear()
        return self.wait()

    def kill(self) -> None:
        """Kill the process and wait for it to exit."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Close the output and wait for the process to exit; return the exit code."""
        assert self.process.stdout
        self.process.stdout.close()
        return self.process.wait()


@pytest.fixture
def command(planted: Path, tmp_path: Path) -> Iterator[Callable[[], Command]]:
    """Yield a function that starts a comparison of the planted sides; all are killed at the end."""
    with ExitStack() as running:

        def start() -> Command:
            one = Command(planted, tmp_path)
            running.callback(one.kill)
            return one

        yield start


def document(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Return the JSON document of the report."""
    read: dict[str, list[dict[str, object]]] = msgspec.json.decode((folder / "report" / "report.json").read_bytes())
    return read


def test_a_comparison_that_was_killed_goes_on_where_it_was(command: Callable[[], Command], tmp_path: Path) -> None:
    for _ in range(10):
        killed = command()
        killed.hear(4)
        if killed.end(signal.SIGKILL) == -signal.SIGKILL:
            break
        shutil.rmtree(tmp_path / "report")  # it had ended before the signal
    assert killed.process.returncode == -signal.SIGKILL
    again = command()
    told = again.hear()
    assert again.wait() == 1
    assert again.already_compared >= 4
    assert again.already_compared + len(told) == len(PLANTS)
    assert not {event["key"] for event in told} & {event["key"] for event in killed.differs}
    keys = [finding["key"] for finding in document(tmp_path)["findings"]]
    assert (len(keys), len(set(keys))) == (len(PLANTS), len(PLANTS))
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [MARKER, *REPORT]


def test_a_comparison_that_is_told_to_stop_reports_what_it_has_and_goes_on_later(
    command: Callable[[], Command], tmp_path: Path
) -> None:
    stopped = command()
    stopped.hear(2)
    assert stopped.end(signal.SIGTERM) == 1
    first = len(stopped.differs)
    page = (tmp_path / "report" / "index.html").read_text()
    if first < len(PLANTS):  # it may have finished before the signal
        assert "Not finished" in page
        assert len(document(tmp_path)["findings"]) == first
    again = command()
    assert len(again.hear()) in (len(PLANTS) - first, len(PLANTS))
    assert again.wait() == 1
    assert len(document(tmp_path)["findings"]) == len(PLANTS)


def test_a_comparison_whose_lines_nobody_takes_ends_with_1_and_goes_on_later(
    command: Callable[[], Command], tmp_path: Path
) -> None:
    deaf = command()
    deaf.hear(2)
    assert deaf.wait() == 1
    again = command()
    again.hear()
    assert again.wait() == 1
    assert len(document(tmp_path)["findings"]) == len(PLANTS)


FOREIGN = [
    ["notes.txt"],
    ["work/thesis.txt"],
    ["pictures/holiday.jpg"],
    ["index.html", "pictures/a.webp"],
    ["report.json", "work/tmp/thesis.txt"],
    ["progress.db", "pictures/holiday.jpg"],
    ["index.html"],
    [".hidden"],
]


@pytest.mark.parametrize("files", FOREIGN, ids=" ".join)
def test_a_folder_with_files_of_others_is_refused_and_stays_as_it_is(
    planted: Path, compare: Compare, tmp_path: Path, files: list[str]
) -> None:
    for name in files:
        (tmp_path / "report" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "report" / name).write_text("of a person")
    before = sorted((tmp_path / "report").rglob("*"))
    for words in ((), ("--restart",)):
        refused = compare(planted / "old", planted / "old", "--prefix", "gall/1/", *words)
        assert refused.result.exit_code == 2
        assert f"--report: {tmp_path}/report has files that no comparison created: " in refused.result.stderr
        assert any(name.rpartition("/")[0] in refused.result.stderr for name in files)
        assert "name a new or an empty folder, or move these files" in refused.result.stderr
    assert sorted((tmp_path / "report").rglob("*")) == before
    assert {(tmp_path / "report" / name).read_text() for name in files} == {"of a person"}


def test_a_link_in_the_folder_is_refused_and_not_followed(planted: Path, compare: Compare, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").touch()
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "progress.db").touch()
    for name in ("work", "pictures"):
        (tmp_path / "report" / name).symlink_to(tmp_path / "home")
        refused = compare(planted / "old", planted / "old", "--prefix", "gall/1/")
        assert f"{name} (not a file)" in refused.result.stderr
        (tmp_path / "report" / name).unlink()
    assert (tmp_path / "home" / "thesis.txt").exists()


def test_what_a_person_adds_to_a_report_stays_there(planted: Path, compare: Compare, tmp_path: Path) -> None:
    assert compare(planted / "old", planted / "new", "--prefix", "gall/1/").result.exit_code == 1
    names = ["notes.txt", "pictures/holiday.jpg", "work/thesis.txt", "work/tmp12345678/thesis.txt", "index.new.txt"]
    for name in names:
        (tmp_path / "report" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "report" / name).write_text("of a person")
    (tmp_path / "report" / "index.new").symlink_to(tmp_path / "report" / "notes.txt")
    (tmp_path / "report" / "work" / ("run-" + "0" * 32)).mkdir()
    same = compare(planted / "old", planted / "old", "--prefix", "gall/1/")
    assert (same.result.exit_code, "No difference" in same.page) == (0, True), same.result.output
    assert {(tmp_path / "report" / name).read_text() for name in names} == {"of a person"}
    assert [path.name for path in (tmp_path / "report" / "pictures").iterdir()] == ["holiday.jpg"]
    assert sorted(path.name for path in (tmp_path / "report" / "work").iterdir()) == ["thesis.txt", "tmp12345678"]


@pytest.mark.parametrize(
    "left",
    [
        ["index.html", "report.json", f"pictures/{'0' * 20}-old.webp"],
        ["progress.db", "progress.db-wal", "work/tmpab_cd123/of-old", f"work/warm-up-{'0' * 16}/tiny.jpg"],
        ["lost+found/"],
        [".gf-images"],
    ],
    ids=" ".join,
)
def test_the_folder_of_an_older_version_and_an_empty_one_are_taken(
    planted: Path, compare: Compare, tmp_path: Path, left: list[str]
) -> None:
    for name in left:
        (tmp_path / "report" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "report" / name).mkdir() if name.endswith("/") else (tmp_path / "report" / name).touch()
    for _ in range(2):
        same = compare(planted / "old", planted / "old", "--prefix", "gall/1/")
        assert same.result.exit_code == 0, same.result.output
    assert set(REPORT) <= {path.name for path in (tmp_path / "report").iterdir()}
    assert [path.name for path in (tmp_path / "report" / "pictures").iterdir()] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--sizes", "enormous"), "unknown size enormous. Known sizes: small, medium."),
        (("--allow", "magic"), "'magic' is not one of"),
        (("--max-different", "few"), "neither a percentage"),
        (("--sample", "0"), "'0' is not a whole number of at least 1"),
    ],
)
def test_wrong_words_end_with_2_and_say_what_is_wrong(compare: Compare, words: tuple[str, ...], sentence: str) -> None:
    wrong = compare("old", "new", *words)
    assert wrong.result.exit_code == 2
    assert sentence in " ".join(wrong.result.output.split())


def test_a_folder_that_is_not_there_and_an_address_that_cannot_be_listed_end_with_2(compare: Compare) -> None:
    missing = compare("nowhere", "nowhere-else")
    assert (missing.result.exit_code, "does not exist" in missing.result.stderr) == (2, True)
    address = "http://127.0.0.1:9"
    unlisted = compare(address, address, "--originals", address)
    assert (unlisted.result.exit_code, "cannot be listed" in unlisted.result.stderr) == (2, True)


def test_a_comparison_that_could_not_begin_leaves_none_to_go_on_with(planted: Path, compare: Compare) -> None:
    assert compare("nowhere", planted / "new").result.exit_code == 2
    begun = compare(planted / "old", planted / "new", "--prefix", "gall/1/")
    assert (begun.result.exit_code, begun.folder.joinpath("index.html").exists()) == (1, True), begun.result.output


def test_an_original_that_is_named_twice_is_compared_once(planted: Path, compare: Compare, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{key(1)}\n" * 3)
    told = compare(planted / "old", planted / "new", "--json", "--originals", str(tmp_path / "keys"))
    (ended,) = told.events("ended")
    assert (ended["is_finished"], ended["originals"], ended["different"]) == (True, 1, 1), told.result.output


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_comparison_that_found_no_original_ends_with_1_and_says_what_to_check(
    planted: Path, compare: Compare, words: tuple[str, ...]
) -> None:
    mistyped = compare(planted / "old", planted / "old", "--prefix", "gal/", *words)
    assert mistyped.result.exit_code == 1
    assert "Nothing was compared: no original was found" in mistyped.result.stderr
    assert "--prefix" in mistyped.result.stderr
    assert "Nothing was compared" in mistyped.page


def test_a_comparison_of_originals_without_derivatives_ends_with_1_and_says_what_to_check(
    planted: Path, compare: Compare, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "keys").write_text(key(99))
    missed = compare(planted / "old", tmp_path / "empty", "--originals", str(tmp_path / "keys"))
    assert (missed.result.exit_code, "1 original has" in missed.result.stderr) == (1, True), missed.result.output
    assert "--old and --new" in missed.result.stderr


def test_sides_that_are_the_same_end_with_0(planted: Path, compare: Compare) -> None:
    same = compare(planted / "old", planted / "old", "--prefix", "gall/1/")
    assert (same.result.exit_code, same.result.stderr) == (0, ""), same.result.output
    assert "No differences." in same.page


def test_without_the_extra_it_says_how_to_install_it() -> None:
    program = "import sys; sys.modules['ssimulacra2'] = None; from proxy.cli.main import main; main()"
    words = "compare", "--old", "a", "--new", "b", "--report", "c"
    ended = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    remedy = f"{sys.executable} -m pip install 'gallformers-images[compare]'"
    assert f"Missing packages: ssimulacra2. Install them: {remedy}" in ended.stderr


def test_the_service_loads_nothing_of_what_comparing_needs() -> None:
    program = (
        "import sys, proxy.cli.main; print({'jinja2', 'numpy', 'scipy', 'ssimulacra2', 'pyvips'} & {*sys.modules})"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"
