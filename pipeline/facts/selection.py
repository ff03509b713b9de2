"""The facts of an original: for each, the first source with a plausible value.

EXIF comes before XMP, and XMP before IPTC; uncertain sources come last. docs/facts.md has the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.decode.original import open_original
from pipeline.facts import exif, iptc
from pipeline.facts.blocks import blocks_of
from pipeline.facts.numbers import in_range, parsed
from pipeline.facts.places import place_of_exif, place_of_xmp
from pipeline.facts.texts import Text, published
from pipeline.facts.times import Moment, moment
from pipeline.facts_model import Camera, Exposure, Facts, Lens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.facts.blocks import Blocks
    from pipeline.facts_model import Doubt, Doubted, Place
    from pipeline.protocol import ReadFacts


def read_facts(question: ReadFacts) -> Facts:
    """Return the facts of the original at `question.path`.

    Raises:
        Refused: the file is no original.
    """
    original = open_original(Path(question.path), limits=question.limits)
    return facts_of(blocks_of(original), format_name=original.readable.name, sides=original.sides)


def facts_of(blocks: Blocks, *, format_name: str, sides: tuple[int, int]) -> Facts:
    """Return the facts that these blocks of metadata hold."""
    found = _Found(blocks)
    return Facts(
        format=format_name,
        width=sides[0],
        height=sides[1],
        taken_at=found.taken_at(),
        camera=found.camera(),
        lens=found.lens(),
        exposure=found.exposure(),
        place=found.place(),
        creator=found.creator(),
        copyright=found.copyright(),
        licence=found.licence(),
        caption=found.caption(),
        uncertain=found.uncertain,
    )


@dataclass(slots=True)
class _Found:
    """The facts in some blocks. Each question adds its doubts to `uncertain`."""

    blocks: Blocks
    uncertain: dict[Doubted, tuple[Doubt, ...]] = field(default_factory=dict)

    def taken_at(self) -> str | None:
        tags, xmp, stored, texts = self.blocks.exif, self.blocks.xmp, self.blocks.iptc, self.blocks.texts
        others = [
            moment(xmp.first("exif:DateTimeOriginal")),
            moment(xmp.first("photoshop:DateCreated")),
            _of_iptc(stored.plain(iptc.DATE_CREATED), stored.plain(iptc.TIME_CREATED)),
        ]
        digitised = (
            moment(xmp.first("exif:DateTimeDigitized")),
            moment(xmp.first("xmp:CreateDate")),
            moment(texts.plain("Creation Time")),
        )
        first = exif.taken(tags)
        candidates: list[Moment | None] = [
            first.with_offset_of(others) if first else None,
            *others,
            exif.digitised(tags),
            *(one.doubted("digitised") if one else None for one in digitised),
        ]
        chosen = next(filter(None, candidates), None)
        if chosen is None:
            return None
        self._doubt("taken_at", chosen.doubts)
        return str(chosen)

    def camera(self) -> Camera | None:
        image, xmp = self.blocks.exif.image, self.blocks.xmp
        make = self._text("camera", "make", [exif.text(image, exif.MAKE), _of_xmp(xmp.first("tiff:Make"))])
        model = self._text("camera", "model", [exif.text(image, exif.MODEL), _of_xmp(xmp.first("tiff:Model"))])
        return Camera(make=make, model=model) if make or model else None

    def lens(self) -> Lens | None:
        tags, xmp = self.blocks.exif.exif, self.blocks.xmp
        make = self._text("lens", "make", [exif.text(tags, exif.LENS_MAKE), _of_xmp(xmp.first("exifEX:LensMake"))])
        models = [
            exif.text(tags, exif.LENS_MODEL),
            _of_xmp(xmp.first("exifEX:LensModel")),
            _of_xmp(xmp.first("aux:Lens")),
        ]
        model = self._text("lens", "model", models)
        return Lens(make=make, model=model) if make or model else None

    def exposure(self) -> Exposure | None:
        tags, xmp = self.blocks.exif, self.blocks.xmp
        stated = {
            "seconds": (tags.exif.number(exif.EXPOSURE_TIME), "exif:ExposureTime"),
            "f_number": (tags.exif.number(exif.F_NUMBER), "exif:FNumber"),
            "focal_length": (tags.exif.number(exif.FOCAL_LENGTH), "exif:FocalLength"),
            "focal_length_35mm": (tags.exif.number(exif.FOCAL_LENGTH_35MM), "exif:FocalLengthIn35mmFilm"),
            "bias": (tags.exif.number(exif.EXPOSURE_BIAS), "exif:ExposureBiasValue"),
        }
        values = {name: self._number(name, (own, parsed(xmp.first(other)))) for name, (own, other) in stated.items()}
        for name, computed in (("seconds", exif.seconds_computed), ("f_number", exif.f_number_computed)):
            if values[name] is None and (value := in_range(computed(tags), name)):
                values[name] = value
                self._doubt("exposure", ("computed",))
        sensitivities = (exif.sensitivity(tags), parsed(xmp.first("exifEX:PhotographicSensitivity")))
        iso = self._number("iso", (*sensitivities, parsed(xmp.first("exif:ISOSpeedRatings"))))
        flash = self._flash()
        if iso is None and flash is None and not any(value is not None for value in values.values()):
            return None
        return Exposure(**values, iso=None if iso is None else round(iso), flash=flash)

    def place(self) -> Place | None:
        found = place_of_exif(self.blocks.exif.gps) or place_of_xmp(self.blocks.xmp)
        if found is None:
            return None
        self._doubt("place", found.doubts)
        return found.place

    def creator(self) -> str | None:
        tags, xmp = self.blocks.exif, self.blocks.xmp
        return self._text(
            "creator",
            "creator",
            [
                exif.text(tags.image, exif.ARTIST),
                exif.creator_for_windows(tags),
                _of_xmp(xmp.joined("dc:creator")),
                self.blocks.iptc.text(iptc.BY_LINE),
                self.blocks.texts.texts.get("Author"),
            ],
        )

    def copyright(self) -> str | None:
        candidates = [
            exif.copyright_of(self.blocks.exif),
            _of_xmp(self.blocks.xmp.first("dc:rights")),
            self.blocks.iptc.text(iptc.COPYRIGHT_NOTICE),
            self.blocks.texts.texts.get("Copyright"),
        ]
        return self._text("copyright", "copyright", candidates)

    def licence(self) -> str | None:
        names = ("cc:license", "xmpRights:WebStatement", "xmpRights:UsageTerms")
        return self._text("licence", "licence", [_of_xmp(self.blocks.xmp.first(name)) for name in names])

    def caption(self) -> str | None:
        texts = self.blocks.texts.texts
        comment = texts.get("Comment")
        candidates = [
            exif.text(self.blocks.exif.image, exif.DESCRIPTION),
            _of_xmp(self.blocks.xmp.first("dc:description")),
            self.blocks.iptc.text(iptc.CAPTION),
            texts.get("Description"),
            exif.comment(self.blocks.exif),
            Text(comment.value, (*comment.doubts, "comment")) if comment else None,
        ]
        return self._text("caption", "caption", candidates)

    def _flash(self) -> bool | None:
        flash = self.blocks.exif.exif.number(exif.FLASH)
        if flash is not None:
            return bool(int(flash) & 1)
        return {"true": True, "false": False}.get((self.blocks.xmp.first("exif:Flash/exif:Fired") or "").lower())

    def _text(self, doubted: Doubted, name: str, candidates: Sequence[Text | None]) -> str | None:
        """Return the first of these texts that is not empty or a placeholder."""
        chosen = next(filter(None, (published(one, name) for one in candidates)), None)
        if chosen is None:
            return None
        self._doubt(doubted, chosen.doubts)
        return chosen.value

    def _number(self, name: str, candidates: Sequence[float | None]) -> float | None:
        """Return the first of these numbers that is in range."""
        return next((value for one in candidates if (value := in_range(one, name)) is not None), None)

    def _doubt(self, doubted: Doubted, doubts: Sequence[Doubt]) -> None:
        if doubts:
            known = self.uncertain.get(doubted, ())
            self.uncertain[doubted] = (*known, *(doubt for doubt in doubts if doubt not in known))


def _of_xmp(value: str | None) -> Text | None:
    return None if value is None else Text(value)


def _of_iptc(day: str, clock: str) -> Moment | None:
    """Return a moment of IPTC; its offset `+0000` or `-0000` is what programs write that know none."""
    found = moment(f"{day} {clock.removesuffix('+0000').removesuffix('-0000')}".strip())
    return found or moment(day)
