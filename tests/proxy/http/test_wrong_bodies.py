"""Wrong bodies and parameters: each response names what is wrong, where it is and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.servers.service import signed
from proxy.http.query import AGE
from proxy.http.validation_messages import readable
from tests.proxy.http.conftest import SECRET

if TYPE_CHECKING:
    from tests.proxy.http.conftest import Site

ORIGINAL = '"key": "gall/1_original.jpg"'

SHAPE = '; send an object such as {"key": "<key of the original>"}.'

BODIES = {
    "": f"The request body is empty{SHAPE}",
    " \n": f"The request body is empty{SHAPE}",
    "key=gall/1_original.jpg": f"not valid JSON: invalid character at line 1, column 1 (byte 0){SHAPE}",
    "[]": f"The request body must be an object, not a list{SHAPE}",
    "{\n  'key': 1}": f"not valid JSON: object keys must be strings at line 2, column 3 (byte 4){SHAPE}",
    f"{{{ORIGINAL},}}": f"not valid JSON: trailing comma in object at line 1, column 31 (byte 30){SHAPE}",
    f"{{{ORIGINAL}": f"not valid JSON: it ends too early, at line 1, column 30 (byte 29){SHAPE}",
    '{"ä": "ö", }': "trailing comma in object at line 1, column 12 (byte 13)",
    '{"key":' + "[" * 5000: "The request body is nested too deeply",
    "{}": "key: is required; it is the key of the original",
    '{"key": 5}': "key: must be a text, not a whole number",
    '{"key": ""}': "The key '' is empty",
    '{"key": "a.jpg"}': "its name must end in '_original'",
    f'{{{ORIGINAL}, "size": "small"}}': "size: unknown field; a job has the fields key, sizes, force, callback_url",
    f'{{{ORIGINAL}, "sizes": "small"}}': "sizes: must be a list, not a text",
    f'{{{ORIGINAL}, "sizes": [1]}}': "sizes[0]: must be a text, not a whole number",
    f'{{{ORIGINAL}, "sizes": ["huge"]}}': "Unknown size 'huge'; the sizes are small, medium, large, xlarge",
    f'{{{ORIGINAL}, "force": "yes"}}': "force: must be true or false, not a text",
    f"{{{ORIGINAL}, {ORIGINAL}}}": "key: must occur once, not 2 times",
    f'{{{ORIGINAL}, "callback_url": "https://elsewhere.test"}}': "can add this host to CALLBACK_HOSTS",
}

QUERIES = {
    "limit=0": "limit: must be a whole number of at least 1",
    "limit=1000": "limit: must be a whole number of at most 100",
    "limit=all": "limit: must be a whole number, not a text",
    "status=failed": "status: 'failed' is not a value that it may have; /schema lists them",
    "older_than=yesterday": "older_than: must be a number and a unit, such as 90s, 15m, 2h or 7d",
    "key=": "key: must not be empty",
    "stauts=error": "status",
}


@pytest.mark.anyio
@pytest.mark.parametrize("body", BODIES)
async def test_a_wrong_body_is_refused_with_a_sentence_about_it(site: Site, body: str) -> None:
    answer = await site.client.post("/v1/jobs", content=body, headers=signed(body.encode(), secret=SECRET))
    problem = answer.json()
    assert answer.status_code in {400, 422}
    assert BODIES[body] in " ".join((problem["detail"], *problem.get("errors", ())))
    assert "`str`" not in answer.text


@pytest.mark.anyio
@pytest.mark.parametrize("query", QUERIES)
async def test_a_wrong_parameter_is_refused_with_a_sentence_about_it(site: Site, query: str) -> None:
    answer = await site.client.get(f"/v1/jobs?{query}")
    assert answer.status_code == 400
    assert QUERIES[query] in " ".join(answer.json()["errors"])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Expected `str | null`, got `int`", "must be a text or null, not a whole number"),
        ("Expected `int` <= 5 - at `$.limit`", "entry limit must be a whole number of at most 5"),
        ("Expected `array` of length >= 2", "must have at least 2 entries"),
        (f"Expected `str` matching regex '{AGE}'", "must be a number and a unit, such as 90s, 15m, 2h or 7d"),
        ("Expected `str` matching regex 'a+'", "must match a+"),
        ("another fault", "another fault"),
    ],
)
def test_a_message_about_a_value_states_what_the_value_must_be(message: str, expected: str) -> None:
    assert readable(message) == expected
