"""Bodies that are no JSON object: what is wrong with one, where, and what to send instead."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from proxy.http.validation_messages import TYPES

EXAMPLE: Final = 'send an object such as {"key": "<key of the original>"}'

_MALFORMED: Final = re.compile(r"JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)")
_TYPE: Final = re.compile(r"Expected `object`, got `(?P<type>\w+)`")


def explain(body: bytes, fault: Exception) -> str:
    """Return a sentence about a body that is no JSON object; `fault` is the error of the parser."""
    message = str(fault)
    if not body.strip():
        return f"The request body is empty; {EXAMPLE}."
    if isinstance(fault, UnicodeDecodeError):
        return f"The request body is not UTF-8 {_place(body, _absolute(body, fault))}; encode the whole body as UTF-8."
    if found := _TYPE.fullmatch(message):
        return f"The request body must be an object, not {TYPES.get(found['type'], found['type'])}; {EXAMPLE}."
    if isinstance(fault, RecursionError):
        return f"The request body is nested too deeply; {EXAMPLE}."
    if isinstance(fault, msgspec.DecodeError) and (found := _MALFORMED.fullmatch(message)):
        return f"The request body is not valid JSON: {found['what']} {_place(body, int(found['byte']))}; {EXAMPLE}."
    return f"The request body is not valid JSON: it ends too early, {_place(body, len(body))}; {EXAMPLE}."


def _absolute(body: bytes, fault: UnicodeDecodeError) -> int:
    """Return the index of the first byte that is not UTF-8; a parser may have decoded only a part of the body."""
    try:
        body.decode()
    except UnicodeDecodeError as whole:
        return whole.start
    return fault.start


def _place(body: bytes, index: int) -> str:
    """Return a place as people and programs count it: lines and columns from 1, bytes from 0."""
    before = body[:index].decode(errors="replace")
    return f"at line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))} (byte {index})"
