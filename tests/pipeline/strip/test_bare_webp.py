"""A copy of a WebP has the same images and the same animation, and no other chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import PIL.Image
import PIL.ImageCms
import pytest

from pipeline.decode.copying import copied
from pipeline.decode.original import open_original
from tests.pipeline.strip.bare import SECRET, encoded, full, is_copied, picture, pixels, turning, webp_chunks

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = {"save_all": True, "append_images": [picture(seed=1), picture(seed=2)], "duration": 70, "loop": 3}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lossy": ("RGB", {}),
    "lossless": ("RGB", {"lossless": True}),
    "lossy alpha": ("RGBA", {}),
    "lossless alpha": ("RGBA", {"lossless": True}),
    "animation": ("RGB", FRAMES),
}


def chunk(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(chunk(*one) for one in chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(("mode", "options"), KINDS.values(), ids=KINDS)
def test_a_file_without_metadata_stays_as_it_is(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    shown = picture(mode="RGB")
    if mode == "RGBA":
        shown.putalpha(picture(mode="L"))
    file = encoded(shown, "WEBP", **options)
    made = full(tmp_path, file)
    assert made == file
    assert pixels(made) == pixels(file)


@pytest.mark.parametrize(("mode", "options"), KINDS.values(), ids=KINDS)
def test_metadata_and_unknown_chunks_are_dropped_and_the_flags_corrected(
    tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    file = encoded(picture(mode=mode), "WEBP", exif=b"Exif\0\0" + SECRET, xmp=SECRET, **options)
    kept = webp_chunks(file[12:])
    made = full(tmp_path, riff(*kept[:1], (b"ABCD", SECRET), *kept[1:], (b"EFGH", SECRET)) + SECRET)
    assert SECRET not in made
    assert pixels(made) == pixels(file)
    (head, flags), *rest = webp_chunks(made[12:])
    assert head == b"VP8X"
    assert flags[0] & 0x2C == 0
    assert {kind for kind, _ in rest} <= {b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}


def test_unknown_chunks_within_a_frame_are_dropped(tmp_path: Path) -> None:
    file = encoded(picture(), "WEBP", **FRAMES)
    dirty = [
        (kind, content + chunk(b"ABCD", SECRET) if kind == b"ANMF" else content)
        for kind, content in webp_chunks(file[12:])
    ]
    made = full(tmp_path, riff(*dirty))
    assert made == file


def test_a_profile_is_kept_without_its_texts(tmp_path: Path) -> None:
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    file = encoded(picture(), "WEBP", icc_profile=profile)
    made = full(tmp_path, file)
    chunks = dict(webp_chunks(made[12:]))
    assert chunks[b"VP8X"][0] & 0x20
    assert 0 < len(chunks[b"ICCP"]) < len(profile)
    assert b"sRGB" not in chunks[b"ICCP"]
    assert pixels(made) == pixels(file)


def test_a_long_animation_is_rendered_as_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(encoded(picture(), "WEBP", **FRAMES))
    original = open_original(path)
    assert original.frames == 3
    assert copied(original, animation_pixels=40 * 30 * 3)
    assert copied(original, animation_pixels=40 * 30 * 3 - 1) is None


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_picture_that_is_turned_by_its_exif_is_rendered(tmp_path: Path, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[274] = orientation
    file = encoded(picture(), "WEBP", exif=exif)
    assert not is_copied(tmp_path, file)
    full(tmp_path, file)
    with PIL.Image.open(tmp_path / "out" / "full.webp") as shown:
        assert shown.size == ((30, 40) if orientation == 6 else (40, 30))


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"], ids=["plain", "prefixed"])
def test_a_picture_that_an_undeclared_exif_turns_is_rendered(tmp_path: Path, prefix: bytes) -> None:
    upright, turned = ((b"EXIF", prefix + turning(number)) for number in (1, 6))
    simple = webp_chunks(encoded(picture(), "WEBP")[12:])
    extended = webp_chunks(encoded(picture(mode="RGBA"), "WEBP")[12:])
    for chunks in (simple, extended):
        assert is_copied(tmp_path, riff(*chunks, upright))
        assert not is_copied(tmp_path, riff(*chunks, turned))
        assert not is_copied(tmp_path, riff(*chunks, upright, turned))


def test_bytes_behind_alpha_that_is_not_compressed_are_not_copied(tmp_path: Path) -> None:
    shown = picture()
    shown.putalpha(picture(mode="L"))
    head, alpha, lossy = webp_chunks(encoded(shown, "WEBP")[12:])
    plain = b"\0" + bytes(range(40)) * 30
    assert alpha[0] == b"ALPH"
    assert is_copied(tmp_path, riff(head, (b"ALPH", plain), lossy))
    assert not is_copied(tmp_path, riff(head, (b"ALPH", plain + SECRET), lossy))
    assert SECRET not in full(tmp_path, riff(head, (b"ALPH", plain + SECRET), lossy))
