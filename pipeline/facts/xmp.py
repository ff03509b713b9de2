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
_PART_BYTES: Final = 1 << 16
"""How much is parsed at once: the parser stops only at the end of a part if a handler raises an error."""

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

_USED: Final = frozenset(
    {
        "aux:Lens", "cc:license", "dc:creator", "dc:description", "dc:rights", "exif:DateTimeDigitized",
        "exif:DateTimeOriginal", "exif:ExposureBiasValue", "exif:ExposureTime", "exif:FNumber", "exif:Flash/exif:Fired",
        "exif:FocalLength", "exif:FocalLengthIn35mmFilm", "exif:GPSAltitude", "exif:GPSAltitudeRef",
        "exif:GPSHPositioningError", "exif:GPSLatitude", "exif:GPSLongitude", "exif:GPSMapDatum", "exif:GPSStatus",
        "exif:ISOSpeedRatings", "exifEX:GPSHPositioningError", "exifEX:LensMake", "exifEX:LensModel",
        "exifEX:PhotographicSensitivity", "photoshop:DateCreated", "tiff:Make", "tiff:Model", "xmp:CreateDate",
        "xmpRights:UsageTerms", "xmpRights:WebStatement",
    }
)  # fmt: skip
"""The properties that are kept; a packet could hold thousands of others, with names of any length."""

_NAMES: Final = frozenset(part for name in _USED for part in name.split("/")) | {"rdf:resource", "xml:lang"}
_WRAPPING: Final = frozenset({"x", "rdf"})
_WRAPPER: Final = "rdf:"
"""Stands for every element of RDF, which are no part of a property's name."""

_DECLARATION: Final = "xmlns"
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
    """The values so far. Namespaces are resolved here: the parser would copy their addresses into every name."""

    def __init__(self) -> None:
        self._path: list[str] = []
        """The names of the open elements. A name is empty if it is in no path of `_USED`."""
        self._declared: list[dict[str, str]] = [{"xml": "xml"}]
        """The prefixes that each open element declares, with the usual ones; empty for namespaces that are not used."""
        self._are_default: list[bool] = []
        """Whether each open element has the language that counts if there are several."""
        self._text = ""
        self._values: dict[str, list[str]] = {}
        self._count = 0
        self.has_document_type = False

    def read(self, packet: bytes) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add
        for start in range(0, len(packet), _PART_BYTES):
            parser.Parse(packet[start : start + _PART_BYTES], False)  # noqa: FBT003 - by position in the library
        parser.Parse(b"", True)  # noqa: FBT003 - by position in the library

    def result(self) -> Properties:
        return Properties({name: tuple(values) for name, values in self._values.items()})

    def _refuse(self, *_: object) -> None:
        self.has_document_type = True
        raise _Refused

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _MOST_DEPTH:
            raise _Refused
        self._declared.append(_declarations(attributes))
        self._path.append(self._known(name))
        named = {known: value for key, value in attributes.items() if ":" in key and (known := self._known(key))}
        self._are_default.append(named.pop("xml:lang", "") == _DEFAULT)
        self._text = ""
        for key, value in named.items():
            if key == "rdf:resource":
                self._take(self._property(), value)
            elif key != _WRAPPER:
                self._take(self._property(key), value)

    def _end(self, _: str) -> None:
        if self._text.strip():
            self._take(self._property(), self._text, is_default=self._are_default[-1])
        self._text = ""
        self._path.pop()
        self._declared.pop()
        self._are_default.pop()

    def _add(self, text: str) -> None:
        if len(self._text) < _MOST_CHARACTERS:
            self._text += text[:_MOST_CHARACTERS]

    def _known(self, name: str) -> str:
        """Return a name with its usual prefix, `_WRAPPER` for elements of RDF; empty if no used property has it."""
        stated, _, local = name.rpartition(":")
        prefix = next((known[stated] for known in reversed(self._declared) if stated in known), "")
        usual = f"{prefix}:{local}"
        if usual in _NAMES:
            return usual
        return _WRAPPER if prefix in _WRAPPING else ""

    def _property(self, attribute: str = "") -> str:
        """Return the name of the property that is open; empty if it or one around it is not used."""
        names = [name for name in self._path if name != _WRAPPER]
        return "/".join((*names, attribute) if attribute else names) if all(names) else ""

    def _take(self, name: str, value: str, *, is_default: bool = False) -> None:
        if name not in _USED:
            return
        self._count += 1
        if self._count > _MOST_VALUES:
            raise _Refused
        self._values.setdefault(name, []).insert(0 if is_default else _MOST_VALUES, value[:_MOST_CHARACTERS].strip())


def _declarations(attributes: dict[str, str]) -> dict[str, str]:
    """Return the prefixes that these attributes declare, with the usual ones."""
    stated = ((*key.partition(":"), value) for key, value in attributes.items())
    return {prefix: _PREFIXES.get(value.strip(), "") for name, _, prefix, value in stated if name == _DECLARATION}
