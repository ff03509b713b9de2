"""The sentences of refusals: the only texts of a child that callers get, each a constant with values from lists."""

from __future__ import annotations

from typing import Final, Literal

DamageReason = Literal[
    "a box ends too early",
    "a box has an invalid size",
    "a box is too large",
    "a count is too large",
    "a part has other dimensions than it should",
    "a part of its description is missing",
    "a part of the image has no data",
    "a part of the image is missing",
    "a part of the image lies beyond its end",
    "a property is missing",
    "a property is too large",
    "image data is lost",
    "it ends too early",
    "it has no description of an image",
    "it has no pixels",
    "it has too many boxes",
    "it has too many parts",
    "it has too many properties",
    "its crop is invalid",
    "its crop is outside of the image",
    "its grid and its tiles do not match",
    "its grid is too long",
    "its tiles do not cover the image",
    "some of its tiles have no alpha",
    "the dimensions of the image are invalid",
    "the image has no dimensions",
]
"""What is wrong with a HEIC or AVIF."""

DAMAGED: Final = "The file is damaged or truncated; upload an intact copy."
DAMAGED_BECAUSE: Final = "The file is damaged or truncated ({reason}); upload an intact copy."
NO_IMAGE_DATA: Final = "The file is damaged: no image data was found; upload an intact copy."
IMAGE_DATA_MISSING: Final = "The file is damaged: some of its image data is missing; upload an intact copy."
TRUNCATED_ANIMATION: Final = "The animation is truncated; upload an intact copy."
EMPTY: Final = "The file is empty; upload it again."
UNKNOWN_FORMAT: Final = "The file is not an image in a known format; upload a {titles} file."
OTHER_FORMAT: Final = "Files of type {type} are not supported; upload a {titles} file."
UNSUPPORTED_FEATURE: Final = "The file uses a feature that is not supported; export the image as an ordinary JPEG."
UNSUPPORTED_SAMPLES: Final = (
    "{title} files with samples of type {sample} are not supported; export the image with 8 or 16 bits per sample."
)
UNSUPPORTED_MATRIX: Final = "Colours coded with matrix {number} are not supported; export the image as a JPEG."
NO_HEIC_DECODER: Final = "HEIC is not supported here, because pi-heif is not installed; upload a JPEG."
HEIF_KIND: Final = "Images of the kind {kind} in a HEIC or AVIF file are not supported; export the image as a JPEG."
HEIF_FEATURE: Final = "The file uses a feature of HEIF that is not supported; export the image as a JPEG."
HEIF_CROP: Final = "HEIF images that are cropped after a turn are not supported; export a JPEG."
HEIF_OTHER_DATA: Final = "HEIF images that refer to other data are not supported; export a JPEG."
RAW: Final = (
    "Camera raw files, and TIFFs whose first image is a thumbnail, are not supported; export the image as a JPEG."
)
TIFF_OLD_JPEG: Final = "TIFFs with old-style JPEG compression are not supported; export the image as a JPEG."
TIFF_DEPTH: Final = (
    "TIFFs with {number} bits per sample are not supported; export the image with 8 or 16 bits per sample."
)
TIFF_LAB: Final = "TIFFs with 8-bit Lab colours are not supported; export the image as a JPEG."
TIFF_YCBCR: Final = "TIFFs with YCbCr colours of more than 8 bits are not supported; export a JPEG."
TIFF_FLOAT: Final = (
    "TIFFs with floating-point or complex samples are not supported; export the image with 8 or 16 bits per sample."
)
DECODER_LIMIT: Final = "The image is larger than its decoder supports; upload a smaller one."
MEGAPIXELS: Final = "The image has {number} megapixels, but the limit is {limit}; upload a smaller one."
FRAMES_OR_PAGES: Final = "The file has {number} frames or pages, but the limit is {limit}; upload one with fewer."
FRAMES: Final = "The file has more than {limit} frames; upload one with fewer."
PAGES: Final = "The file has more than {limit} pages; upload one with fewer."
BLOCKS: Final = "The file has more than {limit} blocks; upload one with fewer frames."
STRIPS: Final = "The image is stored in {number} strips or tiles, but the limit is {limit}; store it in larger ones."
LARGE_PROFILE: Final = "The colour profile in the file is too large; embed a smaller one, or none."
NO_COPY: Final = "The file has an unusual structure, and at full size it needs too much memory; export a JPEG."

ALL: Final[tuple[str, ...]] = tuple(text for name, text in vars().items() if name.isupper())
"""Every sentence. `{titles}` lists the formats of originals, and `{title}` is one; `{type}` is another known format.

`{sample}` is a type of pixels, and `{kind}` the code of four letters in a HEIF.
"""
