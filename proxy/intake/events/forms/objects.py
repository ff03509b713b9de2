"""How most forms name an object and its bucket."""

from __future__ import annotations

import msgspec


class NamedBucket(msgspec.Struct, frozen=True):
    """A bucket; its other fields are ignored."""

    name: str


class KeyedObject(msgspec.Struct, frozen=True):
    """An object; its other fields are ignored: what it is now, the store knows better."""

    key: str
