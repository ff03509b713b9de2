"""The longest summary that a picture can have."""

from __future__ import annotations

from base64 import b64encode

from pipeline.formats.registry import READABLE
from pipeline.protocol import LQIP_CHARACTERS, LQIP_PREFIX, Preview, Summary

_MOST_LQIP_BYTES = (LQIP_CHARACTERS - len(LQIP_PREFIX)) // 4 * 3

LONGEST = Summary(
    width=999_999_999,
    height=999_999_999,
    format=max(READABLE, key=len),
    animated=False,
    preview=Preview(
        color="#000000",
        lqip=LQIP_PREFIX + b64encode(b"RIFF\x12\x01\0\0WEBPVP8 ".ljust(_MOST_LQIP_BYTES, b"\xff")).decode(),
        thumbhash=b64encode(b"\xfb" * 25).decode(),
    ),
)
