"""What the metadata of an original contains, in words; the sizes have none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.facts_model import Exposure, Facts

_TEXTS: Final = (("creator", "Creator"), ("copyright", "Copyright"), ("licence", "Licence"), ("caption", "Caption"))


def facts_rows(facts: Facts) -> list[tuple[str, str, str]]:
    """Return the name of each fact, its value, and why it may be wrong; without the place."""
    return list(_rows(facts))


def _rows(facts: Facts) -> Iterator[tuple[str, str, str]]:
    def row(field: str, title: str, value: str) -> Iterator[tuple[str, str, str]]:
        if value:
            yield title, value, ", ".join(facts.uncertain.get(field, ()))  # type: ignore[call-overload] # a field of facts

    yield from row("taken_at", "Taken", (facts.taken_at or "").replace("T", " "))
    for field, title, maker in (("camera", "Camera", facts.camera), ("lens", "Lens", facts.lens)):
        yield from row(field, title, " ".join(filter(None, (maker.make, maker.model))) if maker else "")
    yield from row("exposure", "Exposure", _exposure(facts.exposure) if facts.exposure else "")
    for field, title in _TEXTS:
        yield from row(field, title, getattr(facts, field) or "")


def place_text(facts: Facts) -> str:
    """Return where a photograph was taken; an empty text if its file does not contain it."""
    if facts.place is None:
        return ""
    place = f"{facts.place.latitude:.5f}, {facts.place.longitude:.5f}"
    altitude = f", {facts.place.altitude:.0f} m above the sea" if facts.place.altitude is not None else ""
    accuracy = f", within {facts.place.accuracy:.0f} m" if facts.place.accuracy is not None else ""
    return place + altitude + accuracy


def _exposure(exposure: Exposure) -> str:
    seconds = exposure.seconds
    parts = (
        (f"1/{1 / seconds:.0f} s" if seconds < HALF else f"{seconds:g} s") if seconds else "",
        f"f/{exposure.f_number:g}" if exposure.f_number else "",
        f"ISO {exposure.iso}" if exposure.iso else "",
        f"{exposure.focal_length:g} mm" if exposure.focal_length else "",
        f"({exposure.focal_length_35mm:g} mm at 35 mm)" if exposure.focal_length_35mm else "",
        f"{exposure.bias:+g} EV" if exposure.bias else "",
        "flash" if exposure.flash else "",
    )
    return " · ".join(filter(None, parts))


HALF: Final = 0.4
"""Seconds from which an exposure is not written as a fraction."""
