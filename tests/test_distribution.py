"""What is built for installation: the wheel and the sdist hold all that the service needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, started

ROOT = Path(__file__).parents[1]
BUILT_FROM = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE", "config", "pipeline", "proxy")
SIZES = ROOT / "config" / "sizes.toml"
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}
"""The numbers of processors in the head of an ELF file."""

BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, f'build_{sys.argv[1]}')(sys.argv[2])"


@dataclass
class Installed(Service):
    """A service that runs in an empty folder with its default settings, on free ports."""

    def environment(self) -> dict[str, str]:
        whole = super().environment()
        return {name: whole[name] for name in ("PATH", "PORT", "METRICS_PORT", "TMPDIR")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, the wheel of the checkout, and in `again` the wheel of the sdist."""
    folder, dist = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.so")
            )
        else:
            shutil.copy(ROOT / name, folder)
    run(sys.executable, "-c", BUILD, "sdist", str(dist), cwd=folder)
    run(sys.executable, "-c", BUILD, "wheel", str(dist), cwd=folder)
    (dist / "unpacked").mkdir()
    run("tar", "--extract", "--file", str(only(dist, "*.tar.gz")), cwd=dist / "unpacked")
    run(sys.executable, "-c", BUILD, "wheel", str(dist / "again"), cwd=only(dist / "unpacked", "*"))
    return dist


@pytest.fixture(scope="module")
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel and its locked dependencies, and nothing else: no tests, no checks, no pip."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    pip = sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", "--no-compile"
    run(*pip, "--require-hashes", "--requirement", str(ROOT / "requirements.txt"), cwd=folder)
    run(*pip, "--no-deps", "--no-index", str(only(built, "*.whl")), cwd=folder)
    return folder


def run(*command: str, cwd: Path, target: str = "") -> str:
    """Run a command that must succeed, perhaps for another kind of machine; return its output."""
    words = {"KERNEL_TARGET": f"{target}-linux-gnu", "SOURCE_DATE_EPOCH": "1780000000"} if target else {}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **words})
    assert done.returncode == 0, done.stderr
    return done.stdout


def only(folder: Path, pattern: str) -> Path:
    """Return the only path that matches."""
    (path,) = folder.glob(pattern)
    return path


def content(wheel: Path) -> dict[str, bytes]:
    with closing(ZipFile(wheel)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_sdist_builds_the_wheel_that_the_checkout_builds(built: Path) -> None:
    ours, again = (content(only(folder, "*.whl")) for folder in (built, built / "again"))
    assert ours == again
    assert ours["proxy/settings/sizes.toml"] == SIZES.read_bytes()
    checkout = {str(path.relative_to(ROOT)) for name in ("proxy", "pipeline") for path in (ROOT / name).rglob("*")}
    modules = {name for name in checkout if name.endswith(".py")}
    data = {name for name in checkout if name.endswith((".toml", ".html", ".css", "/py.typed")) and "/." not in name}
    assert {"pipeline/py.typed", "proxy/py.typed"} <= data
    assert (modules | data | {"pipeline/kernel/_kernel.so"}) <= set(ours)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_wheel_of_any_machine_is_the_same_bytes_each_time(built: Path, tmp_path: Path, machine: str) -> None:
    checkout = only(built / "unpacked", "*")
    wheels = []
    for name in ("once", "again"):
        folder = Path(shutil.copytree(checkout, tmp_path / name))
        run(sys.executable, "-c", BUILD, "wheel", str(tmp_path / f"{name}-wheel"), cwd=folder, target=machine)
        wheels.append(only(tmp_path / f"{name}-wheel", f"*-py3-none-manylinux_2_17_{machine}.whl"))
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    library = content(wheels[0])["pipeline/kernel/_kernel.so"]
    assert int.from_bytes(library[18:20], "little") == ELF_MACHINES[machine]


def test_a_package_index_would_take_the_distributions_and_show_the_readme(built: Path) -> None:
    run(
        sys.executable,
        "-m",
        "twine",
        "check",
        "--strict",
        *map(str, (only(built, "*.tar.gz"), only(built, "*.whl"))),
        cwd=built,
    )


def test_the_metadata_says_who_for_whom_and_under_which_licence(built: Path) -> None:
    files = content(only(built, "*.whl"))
    (metadata,) = [text.decode() for name, text in files.items() if name.endswith(".dist-info/METADATA")]
    head = metadata.partition("\n\n")[0]
    for name in ("Author", "Keywords", "License-Expression", "Project-URL", "Requires-Python"):
        assert re.search(rf"(?m)^{name}: \S", head), name
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (tried,) = re.findall(r"python: \[(.*)\]", workflow)
    told = re.findall(r"(?m)^Classifier: Programming Language :: Python :: (3\.\d+)$", head)
    assert told == [version.strip('" ') for version in tried.split(",")], "CI tries the versions that it names"


def test_the_wheel_works_with_its_locked_dependencies_alone(environment: Path, tmp_path: Path) -> None:
    python, program = (str(environment / "bin" / name) for name in ("python", "gf-images"))
    found = "import importlib.util as u; print([name for name in ('pip', 'pytest', 'loadtest') if u.find_spec(name)])"
    assert run(python, "-c", found, cwd=tmp_path) == "[]\n"
    assert run(program, "--help", cwd=tmp_path).startswith("Usage: gf-images ")
    assert "SIZES_FILE=" in run(program, "check", cwd=tmp_path)
    paint(tmp_path / "photo.jpg", Photograph(width=2400, height=1800, gps=True))
    run(program, "render", "photo.jpg", "--out", "made", cwd=tmp_path)
    assert len(list((tmp_path / "made").rglob("*.jpg"))) == len(tomllib.loads(SIZES.read_text())["sizes"])


def test_the_installed_service_gets_ready_in_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    empty, outside = tmp_path / "empty", tmp_path / "outside"
    empty.mkdir()
    python, program = (str(environment / "bin" / name) for name in ("python", "gf-images"))
    imported = run(python, "-c", "import pipeline, proxy; print(pipeline.__file__, proxy.__file__)", cwd=empty)
    assert all(Path(path).is_relative_to(environment) for path in imported.split())
    sizes_file = next(line for line in run(program, "check", cwd=empty).splitlines() if line.startswith("SIZES_FILE="))
    assert Path(sizes_file.removeprefix("SIZES_FILE=")).is_relative_to(environment)
    service = Installed(folder=outside, entry=("env", f"--chdir={empty}"), program=(program,))
    with started(service):
        assert httpx.get(f"{service.url}/readyz").status_code == 200
        assert "medium" in httpx.get(f"{service.url}/img/gall/1/1_1_original.jpg/none").json()["detail"]
    assert {"queue.db", "store"} <= {path.name for path in (empty / "var").iterdir()}
    assert [path.name for path in empty.iterdir()] == ["var"]
