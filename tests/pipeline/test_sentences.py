"""Every refusal has one of the sentences that the service publishes."""

from __future__ import annotations

import ast
import string
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipeline
from pipeline import sentences
from pipeline.errors import BY_CODE
from pipeline.formats.registry import READABLE_TITLES
from pipeline.protocol import Refusal
from proxy.rendering.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

ERRORS = {error.__name__ for error in BY_CODE.values()}

VALUES = {
    "number": ("0", "0.5", "1e+03", "144"),
    "limit": ("120", "0.06", "1000"),
    "reason": ("it has no pixels",),
    "titles": (READABLE_TITLES,),
    "title": ("TIFF", "HEIC"),
    "type": ("raw", "svg"),
    "sample": ("float", "dpcomplex"),
    "kind": ("'grid'", "'iovl'"),
}


def raised() -> Iterator[tuple[str, ast.expr]]:
    """Yield the first argument of each refusal in the source, with its place."""
    for path in sorted(Path(pipeline.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                yield f"{path.name}:{node.lineno}", node.args[0]


def test_each_refusal_takes_its_sentence_from_the_list() -> None:
    others = [place for place, sentence in raised() if not ast.unparse(sentence).startswith("sentences.")]
    assert others == []
    assert len([*raised()]) > 30


@pytest.mark.parametrize("sentence", sentences.ALL)
def test_each_sentence_is_recognised_with_the_values_that_it_may_have(sentence: str) -> None:
    fields = [name for _, name, _, _ in string.Formatter().parse(sentence) if name]
    for number in range(max([1, *(len(VALUES[name]) for name in fields)])):
        detail = sentence.format(**{name: VALUES[name][number % len(VALUES[name])] for name in fields})
        assert str(refused(Refusal(code="corrupt", detail=detail))) == detail
