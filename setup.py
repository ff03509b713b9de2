"""Compiles the library of `pipeline.kernel`: a plain shared library, for which no headers of Python are needed.

The compiler is `CC`, or the machine's, or the one of the package `ziglang`. `KERNEL_TARGET` names another machine that
ziglang compiles for, such as `aarch64-linux-gnu`; the wheel is then for that machine.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

FOLDER = Path("pipeline/kernel")
SOURCES = ("ladder.c", "windows.c", "scalar.c", "sse2.c", "avx2.c", "neon.c")
HEADERS = ("kernel.h", "ladder.h")
FLAGS = ("-std=c11", "-O3", "-g0", "-fPIC", "-fvisibility=hidden", "-shared", "-Wl,--build-id=none")

GLIBC = "2.17"
"""The oldest glibc that a library of ziglang runs on, that of the wheels of libvips."""


def machine() -> str:
    """Return the processor to compile for."""
    return os.environ.get("KERNEL_TARGET", platform.machine()).partition("-")[0]


def compiler() -> list[str]:
    """Return the command of the compiler.

    Raises:
        SystemExit: there is none.
    """
    if "KERNEL_TARGET" not in os.environ:
        for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
            if name and shutil.which(shlex.split(name)[0]):
                return shlex.split(name)
    if importlib.util.find_spec("ziglang"):
        target = f"{machine()}-linux-gnu.{GLIBC}"
        return [sys.executable, "-m", "ziglang", "cc", "-target", target, "-mcpu=baseline", "-s"]
    raise SystemExit("no C compiler: install gcc, or ziglang with pip")


class BuildKernel(build_ext):
    """Compiles all sources with one command."""

    def build_extension(self, ext: Extension) -> None:
        """Compile the library to its place."""
        path = Path(self.get_ext_fullpath(ext.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([*compiler(), *FLAGS, *ext.sources, "-o", str(path)], check=True)  # noqa: S603 - no other's words

    def get_ext_filename(self, fullname: str) -> str:
        """Return the name of the library, which does not depend on the version of Python."""
        return f"{fullname.replace('.', '/')}.so"


class KernelWheel(bdist_wheel):
    """A wheel for one kind of machine and every Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of the wheel."""
        libc = f"manylinux_{GLIBC.replace('.', '_')}" if "KERNEL_TARGET" in os.environ else "linux"
        return "py3", "none", f"{libc}_{machine()}"


setup(
    ext_modules=[
        Extension(
            "pipeline.kernel._kernel",
            [str(FOLDER / name) for name in SOURCES],
            depends=[str(FOLDER / name) for name in HEADERS],
        )
    ],
    cmdclass={"build_ext": BuildKernel, "bdist_wheel": KernelWheel},
)
