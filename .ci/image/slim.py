"""The root of the image: out of a Python and its environment, only what the service runs on.

    python slim.py ENVIRONMENT ROOT

It runs in the first stage of the Dockerfile, with the Python that the environment was made with, on a Debian.
"""

from __future__ import annotations

import compileall
import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LISTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

OURS = ("pipeline", "proxy")
"""They keep their sources, so that traces show lines, and docstrings, which are help and documents."""

IN_RENDER_PROCESSES = ("pipeline",)
"""These are read with PYTHONOPTIMIZE=2 as well."""

NAMES = {
    "etc/passwd": "root:x:0:0::/root:/sbin/nologin\ngallformers:x:10001:10001::/data:/sbin/nologin\n",
    "etc/group": "root:x:0:\ngallformers:x:10001:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

LOADED_BY_NAME = ("libgcc_s.so.1",)
"""glibc opens it when a thread is cancelled; nothing is linked with it."""

ELF = b"\x7fELF"
AS_BUILT = "*.libs"
"""Libraries that wheels bring, libvips among them: whoever replaces one compares it with the wheel's, byte for byte."""


def main() -> None:
    """Copy what is needed, then make it smaller, then say where the system finds it."""
    environment, root = (Path(word) for word in sys.argv[1:])
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    standard = Path(sysconfig.get_path("stdlib"))
    copy_environment(environment, packages, root)
    copy_standard_library(standard, root)
    copy_interpreter(environment, root)
    copy_libraries(root)
    strip(root)
    compile_all(within(root, standard), within(root, packages), root)
    write_system_files(packages, root)


def within(root: Path, path: Path) -> Path:
    """Give a path's place in the image."""
    return root / path.relative_to("/")


def copy_environment(environment: Path, packages: Path, root: Path) -> None:
    """Copy the packages and the one command."""
    lists = LISTS["packages"]
    left_out = [*lists["tools"], *lists["sources"]]
    copy_tree(packages, within(root, packages), without=left_out)
    data = within(root, packages / "botocore/data")
    keep_only(data.glob("*/"), lists["botocore_services"])
    keep_only(within(root, packages / "pygments/lexers").glob("*.py"), lists["pygments_lexers"])
    for metadata in within(root, packages).glob("*.dist-info"):
        for name in ("RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json", "top_level.txt"):
            (metadata / name).unlink(missing_ok=True)
        told = (metadata / "METADATA").read_text(encoding="utf-8")
        (metadata / "METADATA").write_text(told.partition("\n\n")[0] + "\n", encoding="utf-8")  # without its read-me
    for path in (environment / "pyvenv.cfg", environment / "bin/gf-images"):
        copy(path, within(root, path))


def copy_standard_library(standard: Path, root: Path) -> None:
    """Copy the standard library without its tools and tests."""
    copy_tree(
        standard, within(root, standard), without=[name for names in LISTS["standard"].values() for name in names]
    )


def copy_interpreter(environment: Path, root: Path) -> None:
    """Copy the interpreter, and every link that leads from the environment to it."""
    for name in ("python", "python3"):
        link = environment / "bin" / name
        while link.is_symlink():
            within(root, link).parent.mkdir(parents=True, exist_ok=True)
            within(root, link).unlink(missing_ok=True)
            within(root, link).symlink_to(link.readlink())
            link = link.parent / link.readlink()
        copy(link, within(root, link))


def copy_libraries(root: Path) -> None:
    """Copy every library of the system that something in the image is linked with."""
    wanted = {path for elf in elves(root) for path in linked(elf)}
    system = Path(f"/lib/{sysconfig.get_config_var('MULTIARCH')}")
    wanted |= {system / name for name in LOADED_BY_NAME}
    for path in wanted:
        if not within(root, path).exists() and not path.is_relative_to(root):
            copy(path.resolve(), within(root, path))
            copy_licence(path.resolve(), root)
    for name in ("etc/ld.so.conf", "etc/ld.so.conf.d"):
        copy(Path("/", name), root / name)
    run("ldconfig", "-r", str(root))
    shutil.rmtree(root / "var/cache/ldconfig", ignore_errors=True)


def copy_licence(library: Path, root: Path) -> None:
    """Copy the licence of the Debian package that a library is of; a Python built from source has its own beside it."""
    for path in (library, Path("/", *library.parts[2:])):  # before /lib became a link to /usr/lib
        found = subprocess.run(["dpkg", "-S", str(path)], check=False, capture_output=True, text=True).stdout
        if package := found.partition(":")[0]:
            licence = Path("/usr/share/doc", package, "copyright")
            copy(licence.resolve(), within(root, licence))
            return


def strip(root: Path) -> None:
    """Take the names of functions and the like out of what is compiled: 13.6 MB of uvloop become 1.6."""
    for elf in elves(root):
        if not fnmatch(elf.parent.name, AS_BUILT):
            run("strip", "--strip-unneeded", str(elf))


def compile_all(standard: Path, packages: Path, root: Path) -> None:
    """Put bytecode in the place of sources; ours keep theirs, and the bytecode that each of their processes reads."""
    ours = [packages / name for name in OURS]
    for package in ours:
        compile_tree(package, root, optimize=[0, 2] if package.name in IN_RENDER_PROCESSES else 0)
    for folder in (standard, packages):
        others = [child for child in folder.iterdir() if child not in ours and child != packages]
        for child in others:
            compile_tree(child, root, optimize=2, legacy=True)
            for source in [child] if child.suffix == ".py" else child.rglob("*.py"):
                if source.with_suffix(".pyc").exists():
                    source.unlink()


def compile_tree(path: Path, root: Path, *, optimize: int | list[int], legacy: bool = False) -> None:
    """Compile a file, or all in a folder; nobody looks for changes of a source later."""
    compiled = compileall.compile_dir if path.is_dir() else compileall.compile_file
    if path.is_dir() or path.suffix == ".py":
        compiled(
            path,
            quiet=2,
            legacy=legacy,
            optimize=optimize,
            stripdir=str(root),
            prependdir="/",
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )


def write_system_files(packages: Path, root: Path) -> None:
    """Write what libraries look up: who there is, where names are asked for, whom to trust."""
    for name, text in NAMES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="ascii")
    copy(Path("/etc/os-release").resolve(), root / "etc/os-release")
    authorities = root / "etc/ssl/certs/ca-certificates.crt"
    authorities.parent.mkdir(parents=True, exist_ok=True)
    authorities.symlink_to(packages / "certifi/cacert.pem")
    looked_up = within(root, Path(ssl.get_default_verify_paths().openssl_cafile))
    looked_up.parent.mkdir(parents=True, exist_ok=True)
    looked_up.symlink_to("/etc/ssl/certs/ca-certificates.crt")
    (root / "tmp").mkdir(mode=0o1777)
    (root / "data").mkdir()


def elves(root: Path) -> Iterator[Path]:
    """Find what is compiled."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(len(ELF)) == ELF:
                    yield path


def linked(elf: Path) -> set[Path]:
    """Ask the system's linker which libraries it would load with a file.

    A library of a wheel may need its neighbours, which are found by the module that loads them all.
    """
    beside = {"LD_LIBRARY_PATH": str(elf.parent)} if fnmatch(elf.parent.name, AS_BUILT) else {}
    environment = {**os.environ, **beside}
    told = subprocess.run(["ldd", str(elf)], check=False, capture_output=True, text=True, env=environment).stdout
    if "not found" in told:
        sys.exit(f"{elf} is linked with what is not there:\n{told}")
    return {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(", told, re.MULTILINE)}


def copy_tree(source: Path, target: Path, *, without: list[str]) -> None:
    """Copy a folder but for what matches, and for bytecode."""
    left_out = {path for pattern in without for path in source.glob(pattern)}
    shutil.copytree(
        source,
        target,
        symlinks=True,
        ignore=lambda folder, names: [
            name for name in names if name == "__pycache__" or Path(folder, name) in left_out
        ],
    )


def keep_only(paths: Iterable[Path], names: list[str]) -> None:
    """Remove what does not have one of these names."""
    for path in paths:
        if path.stem not in names:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder to a place that may not be there yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def run(*words: str) -> None:
    """Run a program that must succeed."""
    subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
