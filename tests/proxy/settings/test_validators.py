"""Validators of settings that read files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.settings.validators import FALLBACK_BYTES, fallback_image

if TYPE_CHECKING:
    from pathlib import Path


def test_a_picture_for_errors_must_be_one_that_browsers_display(tmp_path: Path) -> None:
    files = {
        "good.jpg": b"\xff\xd8\xff" + bytes(100),
        "text.jpg": b"no picture",
        "deep.tiff": b"II*\0" + bytes(100),
        "large.jpg": b"\xff\xd8\xff" + bytes(FALLBACK_BYTES),
    }
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    said = {name: fallback_image(str(tmp_path / name)) or "" for name in (*files, "missing.jpg")}

    assert said["good.jpg"] == ""
    assert "must be a JPEG" in said["text.jpg"]
    assert "must be a JPEG" in said["deep.tiff"]
    assert "at most 256 KiB" in said["large.jpg"]
    assert "No such file" in said["missing.jpg"]
    assert fallback_image("") is None
