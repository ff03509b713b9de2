"""The `[[where]]` tables of a sizes file, and where originals may lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from proxy.errors import BadKey
from proxy.keys.layouts import DERIVATIVES
from proxy.keys.shadow import REPLACED
from proxy.keys.syntax import check_key
from proxy.keys.where import LayoutName, Where

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FIELDS = ("prefix", "sizes", "layout")


def read_where(tables: object, *, names: Sequence[str]) -> tuple[tuple[Where, ...], list[str]]:
    """Return the tables without faults, and a sentence for each fault; `names` are the names of all sizes."""
    if not isinstance(tables, list):
        return (), ["where: must be [[where]] tables, each with a prefix"]
    good: list[Where] = []
    faults: list[str] = []
    for number, table in enumerate(tables, start=1):
        found = list(_faults(table, names=names))
        prefix = table.get("prefix") if isinstance(table, dict) else None
        if prefix and any(one.prefix == prefix for one in good):
            found.append(f"another table has the prefix {prefix}; make one table of both")
        if found:
            label = prefix if isinstance(prefix, str) and prefix else f"table {number}"
            faults.append(f"where {label}: {'; '.join(found)}")
        else:
            sizes = tuple(name for name in names if name in table.get("sizes", names))
            good.append(Where(prefix=table["prefix"], sizes=sizes, layout=table.get("layout")))
    return tuple(good), faults


def _faults(table: object, *, names: Sequence[str]) -> Iterator[str]:
    if not isinstance(table, dict):
        yield "must be a table, written [[where]]"
        return
    for field in sorted(table.keys() - {*_FIELDS}):
        yield f"unknown setting {field}; the settings are {', '.join(_FIELDS)}"
    yield from _prefix_faults(table.get("prefix"))
    if "sizes" in table:
        yield from _size_faults(table["sizes"], names=names)
    if "layout" in table and table["layout"] not in get_args(LayoutName):
        yield f"layout {table['layout']!r} must be one of {', '.join(get_args(LayoutName))}"
    if not {"sizes", "layout"} & table.keys():
        yield "changes nothing; set sizes, layout or both"


def _prefix_faults(prefix: object) -> Iterator[str]:
    if not isinstance(prefix, str) or not prefix:
        yield 'prefix is missing; set it to how the keys begin, such as prefix = "keys/"'
        return
    try:
        check_key(prefix.removesuffix("/"))
    except BadKey as fault:
        yield f"no key begins with this prefix: {fault}"
        return
    if not prefix.endswith("/"):
        yield f"prefix must end with /, such as {prefix}/"
    if taken := [one for one in (DERIVATIVES, REPLACED) if f"{prefix}/".startswith(one)]:
        yield f"no original lies there: {taken[0]} is where the service stores derivatives; choose another prefix"


def _size_faults(sizes: object, *, names: Sequence[str]) -> Iterator[str]:
    if not isinstance(sizes, list) or not all(isinstance(one, str) for one in sizes):
        yield 'sizes must be a list of names, such as sizes = ["medium", "large"]'
    elif not sizes:
        yield "sizes is empty; name at least one size, or remove the line if all of them exist"
    elif unknown := [one for one in sizes if one not in names]:
        yield f"sizes: unknown size {', '.join(unknown)}; the sizes are {', '.join(names)}"


def place_faults(
    *, prefixes: Sequence[str], key_layout: str, shadow_prefix: str, where: Sequence[Where]
) -> Iterator[str]:
    """Yield a sentence for each place of originals in which none can lie; `prefixes` are those of ORIGINALS_PREFIX.

    A table outside of ORIGINALS_PREFIX is no fault: machines for different parts of a bucket may share a sizes file.
    """
    has_derivatives_folder = "prefix" in (key_layout, *(one.layout for one in where))
    for prefix in prefixes:
        if prefix.startswith("/"):
            yield f"ORIGINALS_PREFIX: {prefix} must not start with /, because no key does"
        elif has_derivatives_folder and prefix.startswith(DERIVATIVES):
            yield f"ORIGINALS_PREFIX: must not start with {DERIVATIVES}, where derivatives are stored"
        elif shadow_prefix and prefix.startswith(shadow_prefix):
            yield (
                f"SHADOW_PREFIX: must not contain originals, but ORIGINALS_PREFIX={prefix} is below it; choose another "
                "one"
            )
    for one in where:
        if shadow_prefix and one.prefix.startswith(shadow_prefix):
            yield f"SIZES_FILE: where {one.prefix}: no original lies below SHADOW_PREFIX={shadow_prefix}; change one"
