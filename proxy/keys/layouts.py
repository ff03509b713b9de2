"""The mapping between the key of an original and the keys of its derivatives."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Protocol, cast

from pipeline.formats.registry import WRITABLE, output_by_extension
from proxy.errors import BadKey, UnknownSize
from proxy.keys.syntax import MAX_KEY_BYTES, check_key, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.size import OutputFormat

ORIGINAL: Final = "original"
"""The part of an original's key where a derivative's key has the size's name; so no size may have this name."""

DERIVATIVES: Final = "derivatives/"
"""The prefix of all derivatives in `PrefixLayout`, so no original may have it."""

DESKTOP_FILES: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Names of files that desktops leave in folders. macOS also leaves files whose names begin with `._`."""

_SIZE_NAME = re.compile(r"[a-z0-9-]+")


class Layout(Protocol):
    """A mapping between the key of an original and the keys of its derivatives."""

    def check_original(self, key: str) -> None:
        """Raise if `key` cannot be the key of an original.

        Raises:
            BadKey: `key` is invalid, is not the key of an original, or is so long that a derivative's key would exceed
                `MAX_KEY_BYTES`. The message describes the fault.
        """
        ...

    def sizes_of(self, original: str) -> tuple[str, ...]:
        """Return the names of the sizes at which `original` exists, in the order of the sizes file, for any key."""
        ...

    def check_sizes(self, original: str, sizes: Sequence[str]) -> None:
        """Raise if `original` does not exist at one of `sizes`.

        Raises:
            UnknownSize: the message names those sizes, and the sizes at which it exists.
        """
        ...

    def derivative(self, original: str, size: str) -> str:
        """Return the key of the derivative of `original` at `size`.

        Raises:
            BadKey: `original` cannot be the key of an original.
            UnknownSize: `original` does not exist at this size.
        """
        ...

    def original_of(self, key: str) -> tuple[str, str] | None:
        """Return the original's key and the size's name for a derivative's key, or None for any other key."""
        ...

    def derivative_pattern(self, original: str) -> tuple[str, re.Pattern[str]]:
        """Return the prefix and the pattern of the keys of `original`'s derivatives.

        The pattern matches any size, including those that are no longer configured. It may also match the original's
        own key.

        Raises:
            BadKey: `original` cannot be the key of an original.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLayout:
    """The layout of the live site: the derivative `58_1586986467_small.jpg` for `58_1586986467_original.jpg`.

    Raises:
        ValueError: a size is named `original`, or has other characters than `a` to `z`, digits and `-`.
    """

    sizes: tuple[str, ...]
    originals_prefixes: tuple[str, ...] = ("",)
    reserved: str = ""
    """A key that is no original's, because the service itself writes it."""
    where: str = ""
    """The prefix of the keys that this layout is for, if it is not for all; messages name it."""
    _name: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_names(self.sizes)
        names = "|".join(map(re.escape, (ORIGINAL, *self.sizes)))
        # No `_` in the extension, so that a key has only one possible `_<name>`.
        pattern = rf"(?P<stem>.*)_(?P<name>{names})(?P<extension>\.[^./_]+)?"
        object.__setattr__(self, "_name", re.compile(pattern, re.DOTALL))

    def check_original(self, key: str) -> None:
        """Raise if `key` cannot be the key of an original; see `Layout`."""
        _check_inside(key, self.originals_prefixes, reserved=self.reserved)
        match = self._name.fullmatch(key)
        if match is None or match["name"] != ORIGINAL:
            raise BadKey(
                f"The key {shown(key)} is not that of an original: its name must end in '_{ORIGINAL}', with or without "
                "an extension."
            )
        _check_lengths(_renamed(match, size) for size in self.sizes)

    def sizes_of(self, _original: str) -> tuple[str, ...]:
        """Return the names of all sizes; see `Layout`."""
        return self.sizes

    def check_sizes(self, _original: str, sizes: Sequence[str]) -> None:
        """Raise unless all `sizes` exist; see `Layout`."""
        _check_known(sizes, self.sizes, where=self.where)

    def derivative(self, original: str, size: str) -> str:
        """Return the key of the derivative of `original` at `size`; see `Layout`."""
        self.check_sizes(original, (size,))
        self.check_original(original)
        return _renamed(cast("re.Match[str]", self._name.fullmatch(original)), size)

    def original_of(self, key: str) -> tuple[str, str] | None:
        """Return the original's key and the size's name, or None; see `Layout`."""
        match = self._name.fullmatch(key)
        if match is None or match["name"] == ORIGINAL:
            return None
        return _verified(self, (_renamed(match, ORIGINAL), match["name"]), key)

    def derivative_pattern(self, original: str) -> tuple[str, re.Pattern[str]]:
        """Return the prefix and the pattern of derivatives' keys; see `Layout`."""
        self.check_original(original)
        match = cast("re.Match[str]", self._name.fullmatch(original))
        begin, end = f"{match['stem']}_", match["extension"] or ""
        return begin, re.compile(re.escape(begin) + _SIZE_NAME.pattern + re.escape(end))


def _renamed(match: re.Match[str], name: str) -> str:
    return f"{match['stem']}_{name}{match['extension'] or ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixLayout:
    """The layout for other sites: `derivatives/<original key>/<size>.<extension>`, one prefix for each original.

    `formats` maps a size to its fixed format; the format of other sizes follows from the original's extension.

    Raises:
        ValueError: a size is named `original` or has invalid characters, or a prefix is under `DERIVATIVES`.
    """

    sizes: tuple[str, ...]
    formats: Mapping[str, OutputFormat] = field(default_factory=dict)
    originals_prefixes: tuple[str, ...] = ("",)
    reserved: str = ""
    """A key that is no original's, because the service itself writes it."""
    where: str = ""
    """The prefix of the keys that this layout is for, if it is not for all; messages name it."""

    def __post_init__(self) -> None:
        _check_names(self.sizes)
        if any(prefix.startswith(DERIVATIVES) for prefix in self.originals_prefixes):
            raise ValueError(f"Originals cannot lie in '{DERIVATIVES}': that is where derivatives lie.")

    def check_original(self, key: str) -> None:
        """Raise if `key` cannot be the key of an original; see `Layout`."""
        _check_inside(key, self.originals_prefixes, reserved=self.reserved)
        if key.startswith(DERIVATIVES):
            raise BadKey(
                f"The key {shown(key)} is not that of an original: '{DERIVATIVES}' is reserved for derivatives."
            )
        _check_lengths(self._joined(key, size) for size in self.sizes)

    def sizes_of(self, _original: str) -> tuple[str, ...]:
        """Return the names of all sizes; see `Layout`."""
        return self.sizes

    def check_sizes(self, _original: str, sizes: Sequence[str]) -> None:
        """Raise unless all `sizes` exist; see `Layout`."""
        _check_known(sizes, self.sizes, where=self.where)

    def derivative(self, original: str, size: str) -> str:
        """Return the key of the derivative of `original` at `size`; see `Layout`."""
        self.check_sizes(original, (size,))
        self.check_original(original)
        return self._joined(original, size)

    def original_of(self, key: str) -> tuple[str, str] | None:
        """Return the original's key and the size's name, or None; see `Layout`."""
        if not key.startswith(DERIVATIVES):
            return None
        original, _, name = key.removeprefix(DERIVATIVES).rpartition("/")
        return _verified(self, (original, name.partition(".")[0]), key)

    def derivative_pattern(self, original: str) -> tuple[str, re.Pattern[str]]:
        """Return the prefix and the pattern of derivatives' keys; see `Layout`."""
        self.check_original(original)
        folder = f"{DERIVATIVES}{original}/"
        return folder, re.compile(rf"{re.escape(folder)}{_SIZE_NAME.pattern}\.[a-z]+")

    def _joined(self, original: str, size: str) -> str:
        forced = self.formats.get(size)
        written = WRITABLE[forced] if forced else output_by_extension(PurePosixPath(original).suffix)
        return f"{DERIVATIVES}{original}/{size}{written.extension}"


def is_original(layout: Layout, key: str) -> bool:
    """Return whether an original may have this key."""
    try:
        layout.check_original(key)
    except BadKey:
        return False
    return True


def _verified(layout: Layout, made_from: tuple[str, str], key: str) -> tuple[str, str] | None:
    try:
        return made_from if layout.derivative(*made_from) == key else None
    except (BadKey, UnknownSize):
        return None


def _check_names(sizes: tuple[str, ...]) -> None:
    bad = sorted(size for size in sizes if size == ORIGINAL or not _SIZE_NAME.fullmatch(size))
    if bad:
        raise ValueError(f"These sizes cannot have a place among keys: {', '.join(bad)}.")


def _check_known(wanted: Sequence[str], sizes: tuple[str, ...], *, where: str) -> None:
    if unknown := [size for size in wanted if size not in sizes]:
        what = f"the sizes of keys that start with '{where}'" if where else "the sizes"
        raise UnknownSize(f"Unknown size {', '.join(map(shown, unknown))}; {what} are {', '.join(sizes)}.")


def _check_inside(key: str, prefixes: tuple[str, ...], *, reserved: str) -> None:
    check_key(key)
    name = key.rpartition("/")[2]
    if name.startswith("._") or name in DESKTOP_FILES:
        raise BadKey(f"The key {shown(key)} is not that of an original: macOS or Windows leaves files of such names.")
    if key == reserved:
        raise BadKey(f"The key {shown(key)} is not that of an original: the service itself writes it.")
    if not key.startswith(prefixes):
        starts = " or ".join(f"'{prefix}'" for prefix in prefixes)
        raise BadKey(f"The key {shown(key)} is not that of an original: keys of originals start with {starts}.")


def _check_lengths(derivatives: Iterable[str]) -> None:
    if any(len(key.encode()) > MAX_KEY_BYTES for key in derivatives):
        raise BadKey(f"The key is too long: the keys of its derivatives would exceed {MAX_KEY_BYTES} bytes.")
