"""Every warning of a decoder has a verdict; one that is unknown counts as a loss."""

from __future__ import annotations

import pytest

from pipeline.formats.decoder_warnings import Verdict, verdict


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", Verdict.COMPLETE),
        ("VipsJpeg: Warning: unknown JFIF revision number 0.02", Verdict.HIDES_OTHERS),
        ("VipsJpeg: Unknown Adobe color transform code 2", Verdict.HIDES_OTHERS),
        ("VipsJpeg: Corrupt JPEG data: 16 extraneous bytes before marker 0xd9", Verdict.HIDES_OTHERS),
        ("VipsJpeg: premature end of JPEG image", Verdict.HIDES_OTHERS),
        ("VipsJpeg: Corrupt JPEG data: premature end of data segment", Verdict.LOST),
        ("VipsJpeg: Corrupt JPEG data: bad Huffman code", Verdict.LOST),
        ("VIPS: Unknown field with tag 33723 (0x83bb) encountered", Verdict.COMPLETE),
        ("VIPS: TIFF directory 0 has IFD looping to directory 0 at offset 0xa1c (2588)", Verdict.COMPLETE),
        ("VIPS: Premature EOL at line 38 of strip 0 (got 290, expected 300)", Verdict.LOST),
        ("VIPS: iCCP: profile 'icc': 0h: PCS illuminant is not D50", Verdict.COMPLETE),
        ("VIPS: Ignoring invalid time value", Verdict.COMPLETE),
        ("VIPS: malformed sPLT chunk", Verdict.COMPLETE),
        ("VIPS: IDAT: CRC error", Verdict.LOST),
        ("nobody knows this one", Verdict.LOST),
        ("VIPS: read gave 1 warnings\nVIPS: ", Verdict.COMPLETE),
        ("VIPS: read gave 1 warnings\nVipsJpeg: bad Huffman code\nUnknown Adobe color transform", Verdict.LOST),
    ],
)
def test_a_warning_counts_by_what_it_says_of_the_pixels(message: str, expected: Verdict) -> None:
    assert verdict(message) is expected
