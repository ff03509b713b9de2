"""A sample photograph with a position in its metadata, for checks of a running service.

`python -m pipeline.image.sample FILE` paints it.
"""

from __future__ import annotations

import sys

import pyvips

WIDTH, HEIGHT = 1600, 1200

_METADATA = {
    "exif-ifd0-Make": "Sample",
    "exif-ifd3-GPSVersionID": "2 3 0 0",
    "exif-ifd3-GPSLatitudeRef": "N",
    "exif-ifd3-GPSLatitude": "52/1 31/1 1200/100",
    "exif-ifd3-GPSLongitudeRef": "E",
    "exif-ifd3-GPSLongitude": "13/1 24/1 3600/100",
}


def paint_sample(path: str) -> None:
    """Paint the photograph, a gradient with noise, into a JPEG file."""
    place = pyvips.Image.xyz(WIDTH, HEIGHT)
    across, down = place[0] * (255 / WIDTH), place[1] * (255 / HEIGHT)
    noise = pyvips.Image.gaussnoise(WIDTH, HEIGHT, mean=0, sigma=6)
    picture = (across.bandjoin([down, 255 - across]) + noise).cast("uchar").copy(interpretation="srgb")
    for name, value in _METADATA.items():
        picture.set_type(pyvips.GValue.gstr_type, name, value)
    picture.jpegsave(path, Q=90)


if __name__ == "__main__":
    paint_sample(sys.argv[1])
