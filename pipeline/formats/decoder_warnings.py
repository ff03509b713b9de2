"""What each warning of libjpeg, libpng and libtiff means for the pixels: a decoder only warns of loss that it can hide.

libjpeg's messages are those of its jerror.h, libtiff's those of its directory reader and codecs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto


class Verdict(Enum):
    """What a warning means for the image data."""

    COMPLETE = auto()
    """Every pixel is as stored."""

    HIDES_OTHERS = auto()
    """Every pixel is as stored, as far as this warning goes; but libjpeg reports only its first warning of a file."""

    LOST = auto()
    """Some pixels are invented."""


@dataclass(frozen=True, slots=True)
class _Row:
    pattern: re.Pattern[str]
    verdict: Verdict
    reason: str


def _row(pattern: str, verdict: Verdict, reason: str) -> _Row:
    return _Row(re.compile(pattern), verdict, reason)


_COMPLETE, _HIDES, _LOST = Verdict.COMPLETE, Verdict.HIDES_OTHERS, Verdict.LOST

_ROWS = (
    _row(r"unknown JFIF revision number", _HIDES, "only the density depends on the version"),
    _row(r"Unknown Adobe color transform", _HIDES, "libjpeg then assumes the only transform for so many components"),
    _row(r"Invalid SOS parameters", _HIDES, "a sequential scan has all coefficients, whatever its header declares"),
    _row(r"extraneous bytes before marker", _HIDES, "stray bytes between segments; cameras write them"),
    _row(r"[Pp]remature end of JPEG (image|file)", _HIDES, "perhaps only the end marker is missing"),
    _row(r"premature end of data segment", _LOST, "the decoder makes up the rest of the scan"),
    _row(r"bad (Huffman|arithmetic) code", _LOST, "the decoder lost its place in the scan"),
    _row(r"found marker 0x\w+ instead of RST", _LOST, "blocks between two restarts are missing"),
    _row(r"Inconsistent progression sequence", _LOST, "bits of coefficients are missing or come twice"),
    _row(r"bad ICC marker", _HIDES, "the profile is ignored"),
    _row(r"^VIPS: read gave \d+ warnings$|^VIPS:\s*$", _COMPLETE, "only announces the warnings that follow"),
    _row(r"^VIPS: [a-z][A-Za-z]{3}: ", _COMPLETE, "one of PNG's ancillary chunks, which hold no pixels"),
    _row(r"Ignoring invalid time value|malformed sPLT chunk", _COMPLETE, "a chunk of PNG that holds no pixels"),
    _row(r"Too much image data|[Ee]xtra compressed data", _COMPLETE, "data behind the last row"),
    _row(r"Unknown field with tag|tag ignored|[Uu]nknown data type|Wrong data type", _COMPLETE, "one field is ignored"),
    _row(r"does not end in null|contains null byte", _COMPLETE, "the end of a text"),
    _row(r"tags are not sorted", _COMPLETE, "the order of the fields"),
    _row(r"IFD looping", _COMPLETE, "the pages of the loop are counted once"),
    _row(r"Ignoring extra entries|Assuming that missing entries", _COMPLETE, "one value for all samples is the rule"),
    _row(r"ExtraSamples", _COMPLETE, "bands that are no colours"),
    _row(r"assumed incorrect|tag is missing, assuming", _COMPLETE, "libtiff's rule for the files of old writers"),
    _row(r"Nonstandard (tile|strip)", _COMPLETE, "dimensions that are unusual but unambiguous"),
    _row(r"calculating from imagelength", _COMPLETE, "a strip that is too short for its rows is an error"),
    _row(r"Premature EO[FL]|Bad line length|without EOL", _LOST, "the rest of a fax line is made up"),
)
"""The first row that matches counts; a warning without a row counts as `LOST`."""


def verdict(message: str) -> Verdict:
    """Return the gravest verdict on the lines of a decoder's message."""
    found = {_verdict(line) for line in message.splitlines() if line.strip()}
    return next((one for one in (_LOST, _HIDES) if one in found), _COMPLETE)


def _verdict(line: str) -> Verdict:
    return next((row.verdict for row in _ROWS if row.pattern.search(line)), _LOST)
