"""Texts do not use the private dialect that an early version of this project was written in."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]

MOST_AVERAGE_WORDS, MOST_WORDS = 20, 40
"""Bounds of the sentences of a document: of all on average, and of each."""

CODE = ("proxy", "pipeline", "loadtest")
"""Folders whose docstrings, comments and strings are checked."""

PROSE = (
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "DEBUGGING.md",
    "ARCHITECTURE.md",
    "docs/**/*.md",
    "deploy/**/*.md",
    "deploy/**/*.tf",
    "config/*.yml",
    "config/*.toml",
)
"""Patterns of the other files that are checked, without their code blocks."""

PATTERNS = {
    r"anew": "again",
    r"as many as may": "the maximum number",
    r"ask(?:s|ed|ing)? (?:again|of)": "retry; request",
    r"berths?": "slot",
    r"bur(?:y|ied|ies)": "remove",
    r"couriers?": "dispatcher",
    r"for good": "permanently",
    r"foresee\w*|foresaw|unforeseen": "unexpected",
    r"g(?:ive|ives|ave|iving) (?:the|an?|its|no) (?:address|answer|key|name|path|result|sentence|value)s?": "return",
    r"goes? away": "disconnect; stop",
    r"ha(?:s|ve|ving) (?!to\b)\w+ be": "invalidate, mark",
    r"haste|hasty": "priority",
    r"in line": "in the queue",
    r"ledgers?": "checkpoint",
    r"len(?:d|ds|t|ding)": "yield",
    r"likeness": "similarity",
    r"mend(?:s|ed|ing)?": "fix",
    r"nobody|somebody|whoever": "name the client, the worker or the operator",
    r"of late": "recently",
    r"ow(?:e|es|ed)": "not delivered yet",
    r"patien(?:t|ce)": "timeout",
    r"put(?:s|ting)? (?:(?:an? |the )?\w+ )?off": "retry later, reschedule",
    r"sa(?:y|ys|id|ying)": "report, return, state",
    r"se(?:e|es|en|eing) to (?:it|that|them)": "ensure; process",
    r"sought": "requested",
    r"stumbl(?:e|es|ed|ing)": "fail",
    r"tell(?:s|ing)?|told": "return, report, log",
    r"tempo": "throughput",
    r"thought of": "expected",
    r"urgen(?:t|cy)": "priority",
    r"what (?:came|comes|becomes|became) of": "the result of",
    r"wish(?:es|ed)?": "request",
}
"""Pattern of whole words -> what to write instead."""

ALLOWED = {
    "loadtest/paint.py": ("Nobody at all",),  # a copyright in the metadata of test images
}
"""File -> phrases in it that match a pattern for a good reason."""

_CODE_BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_WORDS = re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in PATTERNS), re.IGNORECASE)


class Text(NamedTuple):
    """A piece of text and the line at which it starts."""

    line: int
    words: str


def found(texts: Iterator[Text], *, allowed: tuple[str, ...] = ()) -> list[str]:
    """Return the matches in texts, each with its line; names in backticks and allowed phrases do not count."""
    matches = []
    for text in texts:
        words = " ".join(re.sub(r"`[^`]*`", "`", text.words).split())
        for phrase in allowed:
            words = words.replace(phrase, "")
        matches += [f"{text.line}: {match[0]!r} in {words[:200]!r}" for match in _WORDS.finditer(words)]
    return matches


def texts_of_code(source: str) -> Iterator[Text]:
    """Yield the strings of a module, which include its docstrings, and its comments; without expressions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Text(node.lineno, node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], token.string)


def texts_of_prose(source: str) -> Iterator[Text]:
    """Yield the paragraphs of a document, without its code blocks."""
    without_code = _CODE_BLOCK.sub(lambda block: "\n" * block[0].count("\n"), source)
    line = 1
    for paragraph in without_code.split("\n\n"):
        yield Text(line, paragraph)
        line += paragraph.count("\n") + 2


def checked() -> Iterator[str]:
    """Yield every checked file, as its path below the root."""
    paths = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    paths += [path for pattern in PROSE for path in ROOT.glob(pattern)]
    yield from sorted(path.relative_to(ROOT).as_posix() for path in paths)


def texts(name: str) -> Iterator[Text]:
    source = (ROOT / name).read_text(encoding="utf-8")
    return texts_of_code(source) if name.endswith(".py") else texts_of_prose(source)


def test_no_text_uses_the_dialect() -> None:
    matches = [f"{name}:{match}" for name in checked() for match in found(texts(name), allowed=ALLOWED.get(name, ()))]
    assert not matches, "\n".join(matches)


def sentences_of_prose(source: str) -> Iterator[str]:
    """Yield the sentences of a document, without headings, tables and code blocks; items of lists stand alone."""
    for text in texts_of_prose(source):
        lines = [line for line in text.words.splitlines() if not line.startswith(("#", "|", "    "))]
        for part in re.split(r"\n[ ]*(?:[-*]|[0-9]+[.]) ", "\n" + "\n".join(lines)):
            yield from re.split(r"(?<=[.!?:])\s+", " ".join(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", part).split()))


def test_sentences_of_documents_are_short(record_property: Callable[[str, object], None]) -> None:
    lengths: dict[str, list[int]] = {}
    for name in checked():
        if name.endswith(".md"):
            sizes = [
                len(sentence.split()) for sentence in sentences_of_prose((ROOT / name).read_text(encoding="utf-8"))
            ]
            lengths[name] = [size for size in sizes if size > 1]
    average = {name: sum(sizes) / len(sizes) for name, sizes in lengths.items() if sizes}
    longest = max(size for sizes in lengths.values() for size in sizes)
    record_property("words a sentence", f"at most {max(average.values()):.1f} on average, {longest} in the longest")
    assert not {name: words for name, words in average.items() if words > MOST_AVERAGE_WORDS}
    assert longest <= MOST_WORDS


def test_every_allowed_phrase_is_needed() -> None:
    for name, phrases in ALLOWED.items():
        for phrase in phrases:
            others = tuple(other for other in phrases if other != phrase)
            assert len(found(texts(name), allowed=others)) > len(found(texts(name), allowed=phrases)), phrase


@pytest.mark.parametrize(
    "text",
    [
        "Tell whether a worker lives.",
        "Jobs are put off; nobody waits in line.",
        "It puts a job off.",
        "Give the key of a derivative.",
        "As many as may are on their way.",
        "Have it be found out anew.",
        "What came of a job that was owed.",
    ],
)
def test_the_dialect_is_found(text: str) -> None:
    assert found(iter([Text(1, text)]))


@pytest.mark.parametrize(
    "text",
    [
        "Return whether a worker runs.",
        "The field `put_off` of a job that has to be retried, and `tell`.",
        "Each line of the log gives up nothing; the whole is offset.",
    ],
)
def test_plain_english_passes(text: str) -> None:
    assert not found(iter([Text(1, text)]))


def test_docstrings_comments_and_strings_are_read_and_expressions_are_not() -> None:
    source = '"""One."""\n# Two.\ntold = f"three {told} four"\n'
    assert {text.words for text in texts_of_code(source)} == {"One.", "# Two.", "three ", " four"}


def test_code_blocks_of_documents_are_not_read() -> None:
    source = "One.\n\n```sh\ntell\n\ntold\n```\n\nTwo.\n"
    assert [text for text in texts_of_prose(source) if text.words.strip()] == [Text(1, "One."), Text(9, "Two.\n")]
