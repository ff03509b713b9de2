"""Reads an image from a folder with an OCI layout, as a registry would send it."""

from __future__ import annotations

import gzip
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

INDEX = "index"
"""Part of the media types of documents that list one image per platform."""


class _Blob(msgspec.Struct, rename="camel"):
    digest: str
    size: int
    media_type: str = ""


class _Index(msgspec.Struct):
    manifests: list[_Blob]


class _Manifest(msgspec.Struct):
    config: _Blob
    layers: list[_Blob]


class Config(msgspec.Struct, rename="pascal", frozen=True):
    """The image's configuration for running it."""

    user: str = ""
    working_dir: str = "/"
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by name."""
        return dict(word.split("=", 1) for word in self.env)


class _Image(msgspec.Struct):
    config: Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image: the files of its layers, and its size in bytes, compressed and unpacked."""

    config: Config
    layers: Sequence[Path]
    compressed: int
    uncompressed: int

    def unpack(self, root: Path) -> None:
        """Unpack the files into `root` with their owners and modes, which requires root."""
        for layer in self.layers:
            words = "--extract", "--numeric-owner", "--directory", root, "--file", layer
            subprocess.run(["tar", *words], check=True)  # noqa: S607 - whichever tar is installed


def read(folder: Path) -> Image:
    """Read the first image of a layout, for its first platform."""
    blob = msgspec.json.decode((folder / "index.json").read_bytes(), type=_Index).manifests[0]
    if INDEX in blob.media_type:
        blob = msgspec.json.decode(_file(folder, blob).read_bytes(), type=_Index).manifests[0]
    manifest = msgspec.json.decode(_file(folder, blob).read_bytes(), type=_Manifest)
    layers = [_file(folder, layer) for layer in manifest.layers]
    return Image(
        config=msgspec.json.decode(_file(folder, manifest.config).read_bytes(), type=_Image).config,
        layers=layers,
        compressed=blob.size + manifest.config.size + sum(map(_compressed, layers)),
        uncompressed=sum(map(_uncompressed, layers)),
    )


def _file(folder: Path, blob: _Blob) -> Path:
    return folder / "blobs" / Path(*blob.digest.split(":"))


def _compressed(layer: Path) -> int:
    """Return the compressed size of a layer; docker saves plain archives, and compresses them when it pushes."""
    if tarfile.is_tarfile(layer) and layer.read_bytes()[:2] == b"\x1f\x8b":
        return layer.stat().st_size
    return len(gzip.compress(layer.read_bytes(), compresslevel=6))


def _uncompressed(layer: Path) -> int:
    with tarfile.open(layer) as files:
        return sum(member.size for member in files)
