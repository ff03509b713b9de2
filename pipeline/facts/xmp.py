"""XMP packets: their properties as texts, parsed without a document type, which alone could expand entities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES: Final = 1 << 20
"""The largest packet that is parsed; larger ones are ignored."""

_MOST_DEPTH, _MOST_VALUES, _MOST_CHARACTERS = 32, 2000, 16_384

_PREFIXES: Final = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://cipa.jp/exif/1.0": "exifEX",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://creativecommons.org/ns#": "cc",
    "http://web.resource.org/cc/": "cc",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://www.w3.org/XML/1998/namespace": "xml",
    "adobe:ns:meta/": "x",
}
"""The namespaces that are used, with their usual prefixes; properties of others are ignored."""

_WRAPPING: Final = frozenset({"x", "rdf"})
_DEFAULT: Final = "x-default"
_END: Final = b"<?xpacket end="


class _Refused(Exception):
    """The packet has a document type, is too deep, or has too many values."""


@dataclass(frozen=True, slots=True)
class Properties:
    """The values of each property, by names such as `dc:creator`, or `exif:Flash/exif:Fired` within a structure."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def first(self, *names: str) -> str | None:
        """Return the first value of the first of these properties that has one."""
        return next((found[0] for name in names if (found := self.values.get(name))), None)

    def joined(self, name: str) -> str | None:
        """Return all values of a property, separated by semicolons; None if it has none."""
        return "; ".join(self.values.get(name, ())) or None


def properties(packet: bytes) -> Properties:
    """Return the properties of a packet; none if it is too large or is no XMP, those before a damage otherwise."""
    if not packet or len(packet) > MOST_BYTES:
        return Properties()
    content, _, _ = packet.partition(_END)
    reading = _Reading()
    try:
        reading.read(content.rstrip(b"\0 "))
    except (expat.ExpatError, _Refused, ValueError, LookupError):
        # An unknown encoding is a LookupError. Nothing is taken of a packet with a document type.
        return Properties() if reading.has_document_type else reading.result()
    return reading.result()


class _Reading:
    def __init__(self) -> None:
        self._path: list[str] = []
        """The names of the open elements; empty for those of other namespaces."""
        self._languages: list[str] = []
        self._text = ""
        self._values: dict[str, list[str]] = {}
        self._count = 0
        self.has_document_type = False

    def read(self, packet: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add
        parser.Parse(packet, True)  # noqa: FBT003 - by position in the standard library

    def result(self) -> Properties:
        return Properties({name: tuple(values) for name, values in self._values.items()})

    def _refuse(self, *_: object) -> None:
        self.has_document_type = True
        raise _Refused

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _MOST_DEPTH:
            raise _Refused
        self._path.append(_short(name))
        named = {_short(key): value for key, value in attributes.items()}
        self._languages.append(named.get("xml:lang", ""))
        self._text = ""
        for key, value in named.items():
            if key == "rdf:resource":
                self._take(self._name(), value)
            elif key and key.partition(":")[0] not in {"rdf", "xml", "x"}:
                self._take(self._name(key), value)

    def _end(self, _: str) -> None:
        if self._text.strip():
            self._take(self._name(), self._text, is_default=self._languages[-1] == _DEFAULT)
        self._text = ""
        self._path.pop()
        self._languages.pop()

    def _add(self, text: str) -> None:
        if len(self._text) < _MOST_CHARACTERS:
            self._text += text[:_MOST_CHARACTERS]

    def _name(self, attribute: str = "") -> str:
        """Return the name of the property that is open; empty if it or one around it is of another namespace."""
        names = [name for name in self._path if name.partition(":")[0] not in _WRAPPING]
        return "/".join((*names, attribute) if attribute else names) if all(names) else ""

    def _take(self, name: str, value: str, *, is_default: bool = False) -> None:
        if not name:
            return
        self._count += 1
        if self._count > _MOST_VALUES:
            raise _Refused
        self._values.setdefault(name, []).insert(0 if is_default else _MOST_VALUES, value[:_MOST_CHARACTERS].strip())


def _short(name: str) -> str:
    namespace, _, local = name.rpartition(" ")
    prefix = _PREFIXES.get(namespace, "")
    return f"{prefix}:{local}" if prefix else ""
