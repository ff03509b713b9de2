"""A body that is no JSON object is refused with the place of the fault."""

from __future__ import annotations

import msgspec
import pytest
from litestar.exceptions import ValidationException

from proxy.http.posted import parse


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"key": "\xff"}', "line 1, column 10 (byte 9)"),
        (b'{\n"k\xc3\xa4\xe9": 1}', "line 2, column 4 (byte 6)"),
    ],
)
def test_a_body_in_another_encoding_is_refused_with_the_place_of_its_first_wrong_byte(body: bytes, place: str) -> None:
    with pytest.raises(ValidationException) as refused:
        parse(body, dict[str, msgspec.Raw], fields={"key": str}, what="a job")
    assert f"is not UTF-8 at {place}; encode the whole body as UTF-8." in refused.value.detail
