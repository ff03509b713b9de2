"""How Chromium shows a file, as a screenshot; what it cannot read is decoded by an independent program first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import PIL.Image
import PIL.ImageOps
import pyvips

BACKGROUND = 128
SECONDS = 60

CHROMIUM = "Chromium"
_PROGRAM = "chromium"
_HEIF_PROGRAM = "heif-convert"
_MARGIN = 100
"""Pixels by which the window is larger than the picture."""

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb",
    "--allow-file-access-from-files", "--virtual-time-budget=20000", "--log-level=3",
)  # fmt: skip

_PAGE = """<body style="margin:0;background:rgb({grey},{grey},{grey})">
<img src="{address}" width={width} height={height} style="display:block;image-orientation:{turned}"></body>"""


class NoDecoder(Exception):
    """Neither the browser nor the other decoders read the file."""


def shown(path: Path, sides: tuple[int, int], folder: Path) -> tuple[pyvips.Image, str]:
    """Return the file as shown at these dimensions, and the name of the program that decoded it.

    Raises:
        NoDecoder: no program is at hand that reads the file.
        CalledProcessError: a program failed.
    """
    width, height = sides
    read, decoder = _readable(path, folder)
    page, screenshot = folder / "page.html", folder / "shown.png"
    turned = "from-image" if decoder == CHROMIUM else "none"  # the other decoders turn the picture upright
    page.write_text(_PAGE.format(grey=BACKGROUND, address=read.as_uri(), width=width, height=height, turned=turned))
    window = f"--window-size={max(width, 500) + _MARGIN},{height + _MARGIN}"
    profile = f"--user-data-dir={folder / 'profile'}"
    _run(_PROGRAM, *_OPTIONS, profile, window, f"--screenshot={screenshot}", page.as_uri())
    return pyvips.Image.new_from_file(str(screenshot)).extract_band(0, n=3).crop(0, 0, width, height), decoder


def version() -> str:
    """Return the name and version of the browser."""
    if missing := [program for program in (_PROGRAM, _HEIF_PROGRAM) if not shutil.which(program)]:
        raise SystemExit(f"needs {', '.join(missing)}: apt-get install chromium libheif-examples")
    return _run(_PROGRAM, "--version").splitlines()[-1].strip()


def _readable(path: Path, folder: Path) -> tuple[Path, str]:
    decoded = folder / "decoded.png"
    match path.suffix.lower():
        case ".tif" | ".tiff":
            return _by_pillow(path, decoded), "Pillow"
        case ".heic" | ".heif":
            return _by_libheif(path, folder), _HEIF_PROGRAM
        case ".mpo":
            return Path(shutil.copy(path, folder / "renamed.jpg")), CHROMIUM
        case _:
            return path, CHROMIUM


def _by_libheif(path: Path, folder: Path) -> Path:
    """Decode the first image; it is written as JPEG if its profile is invalid, because libpng would refuse that."""
    for suffix in (".png", ".jpg"):
        _run(_HEIF_PROGRAM, "-q", "100", str(path), str(folder / f"decoded{suffix}"))
        made = [folder / f"decoded{number}{suffix}" for number in ("-1", "")]
        if found := next((one for one in made if one.exists() and one.stat().st_size), None):
            return found
    raise NoDecoder


def _by_pillow(path: Path, decoded: Path) -> Path:
    try:
        with PIL.Image.open(path) as picture:
            PIL.ImageOps.exif_transpose(picture).save(decoded, icc_profile=picture.info.get("icc_profile"))
    except PIL.UnidentifiedImageError as error:
        raise NoDecoder from error
    return decoded


def _run(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    return done.stdout
