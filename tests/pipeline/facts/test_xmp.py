"""XMP packets: every form of a property is read, and nothing in a packet can expand."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.facts.xmp import MOST_BYTES, properties
from tests.pipeline.facts.metadata_blocks import packet

CREATORS = "<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>"
RIGHTS = (
    '<dc:rights><rdf:Alt><rdf:li xml:lang="de">Alle Rechte</rdf:li><rdf:li xml:lang="x-default">All rights</rdf:li>'
    "</rdf:Alt></dc:rights>"
)


def test_every_form_of_a_property_is_read() -> None:
    elements = (
        f"{CREATORS}{RIGHTS}<tiff:Make>Gall</tiff:Make><cc:license rdf:resource='https://example.org/by'/>"
        "<exif:Flash rdf:parseType='Resource'><exif:Fired>True</exif:Fired></exif:Flash>"
    )
    found = properties(packet(elements, tiff__Model="Camera"))
    assert found.values == {
        "dc:creator": ("Ann", "Bo"),
        "dc:rights": ("All rights", "Alle Rechte"),
        "tiff:Make": ("Gall",),
        "tiff:Model": ("Camera",),
        "cc:license": ("https://example.org/by",),
        "exif:Flash/exif:Fired": ("True",),
    }
    assert found.joined("dc:creator") == "Ann; Bo"
    assert found.first("dc:title", "dc:rights") == "All rights"
    assert (found.first("dc:title"), found.joined("dc:title")) == (None, None)


@pytest.mark.parametrize("form", ['exif:Fired="True"', "><rdf:Description exif:Fired='True'/></exif:Flash><a"])
def test_a_structure_may_have_its_fields_as_attributes(form: str) -> None:
    found = properties(packet(f"<exif:Flash {form}/>".replace("<exif:Flash >", "<exif:Flash>")))
    assert found.first("exif:Flash/exif:Fired") == "True"


def test_properties_within_other_namespaces_are_ignored() -> None:
    assert not properties(packet("<other:a><dc:rights>mine</dc:rights></other:a>", other__b="c")).values


BOMB = """<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{more}]>"""


@pytest.mark.parametrize(
    "kind",
    [
        "<!DOCTYPE x>",
        BOMB.format(more="".join(f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};&a{n - 1};">' for n in range(1, 40))),
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">',
        '<!DOCTYPE x [<!ENTITY % a "<!ENTITY b 1>">%a;]>',
    ],
)
def test_a_packet_with_a_document_type_is_ignored(kind: str) -> None:
    content = packet("<tiff:Make>&a;</tiff:Make>", tiff__Model="Camera").partition(b"?>")[2]
    assert not properties(kind.encode() + content).values


def test_namespaces_count_and_not_their_prefixes() -> None:
    packet_of_others = (
        '<meta xmlns="adobe:ns:meta/"><R:RDF xmlns:R="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><R:Description '
        'xmlns:a="http://ns.adobe.com/tiff/1.0/" xmlns:tiff="http://example.org/" a:Make="Gall" tiff:Model="other" '
        'Model="none"><Model xmlns="http://ns.adobe.com/tiff/1.0/">Camera</Model><a:Make xmlns:a="http://example.org/">'
        "other</a:Make></R:Description></R:RDF></meta>"
    )
    assert properties(packet_of_others.encode()).values == {"tiff:Make": ("Gall",), "tiff:Model": ("Camera",)}


def many_attributes(prefix: str) -> str:
    return " ".join(f'{prefix}:b{number}="y"' for number in range(1900))


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param(("<dc:" + "a" * 25_000 + ">") * 28 + f"<dc:b {many_attributes('dc')}/>", id="long names around"),
        pytest.param(("<dc:" + "a" * 25_000 + ">") * 28 + "<dc:b>c</dc:b>" * 1900, id="long names around elements"),
        pytest.param(f'<n:a xmlns:n="{"u" * 900_000}" {many_attributes("n")}/>', id="a long namespace"),
        pytest.param(f'<other:a xmlns:n="{"u" * 900_000}">' + "<n:a/>" * 9000, id="many elements of a long namespace"),
        pytest.param("<dc:creator>" * 80_000, id="deep"),
        pytest.param("<other:a " + " ".join(f'xmlns:n{n}="u"' for n in range(50_000)) + "/>", id="many namespaces"),
        pytest.param(f"<dc:{'a' * 1_000_000}/>", id="a long name"),
        pytest.param("<dc:creator>x</dc:creator>" * 38_000, id="many values"),
        pytest.param(f"<dc:creator>{'虫' * 300_000}</dc:creator>", id="a long text"),
    ],
)
def test_a_packet_takes_memory_in_proportion_to_its_length(elements: str) -> None:
    content = packet(elements, tiff__Model="Camera")
    assert len(content) <= MOST_BYTES
    tracemalloc.start()
    try:
        found = properties(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.first("tiff:Model") == "Camera"
    assert peak < 24 * MOST_BYTES


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no XML",
        b"<",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        packet("&undefined;"),
        b"<a>" * 100_000,
        packet("<tiff:Make>x</tiff:Make>" * 60_000),
        packet(tiff__Make="x" * (MOST_BYTES + 1)),
        packet() + bytes(MOST_BYTES // 2) + b"x",
    ],
    ids=range(10),
)
def test_a_packet_that_is_none_too_deep_or_too_large_raises_nothing(content: bytes) -> None:
    assert all(len(values) <= 2000 for values in properties(content).values.values())


def test_what_stands_before_a_damage_is_read() -> None:
    whole = packet("<tiff:Make>Gall</tiff:Make><tiff:Model>Camera</tiff:Model>")
    assert properties(whole[: whole.index(b"<tiff:Model>") + 15]).values == {"tiff:Make": ("Gall",)}


def test_a_packet_in_utf_16_is_read() -> None:
    assert properties(packet(tiff__Make="虫こぶ").decode().encode("utf-16")).first("tiff:Make") == "虫こぶ"


@given(st.integers(0, 900), st.binary(max_size=20))
def test_no_bytes_raise_an_error(place: int, noise: bytes) -> None:
    whole = packet(CREATORS + RIGHTS)
    properties(whole[:place] + noise + whole[place + len(noise) :])
