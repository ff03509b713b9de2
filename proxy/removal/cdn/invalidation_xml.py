"""The XML of CloudFront's invalidations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from proxy.errors import CdnPurgeFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACE: Final = "http://cloudfront.amazonaws.com/doc/2020-05-31/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """An invalidation that CloudFront has accepted."""

    id: str
    is_completed: bool


def written(paths: Sequence[str], *, reference: str) -> bytes:
    """Return the body of `CreateInvalidation`."""
    batch = ET.Element("InvalidationBatch", xmlns=NAMESPACE)
    listed = ET.SubElement(batch, "Paths")
    ET.SubElement(listed, "Quantity").text = str(len(paths))
    items = ET.SubElement(listed, "Items")
    for path in paths:
        ET.SubElement(items, "Path").text = path
    ET.SubElement(batch, "CallerReference").text = reference
    encoded: bytes = ET.tostring(batch, encoding="utf-8", xml_declaration=True)
    return encoded


def invalidation_of(body: bytes) -> Invalidation:
    """Return the invalidation of a response.

    Raises:
        CdnPurgeFailed: the response has none.
    """
    root = _parsed(body)
    number = "" if root is None else root.findtext("{*}Id", "")
    if root is None or not number.isalnum():
        raise CdnPurgeFailed("CloudFront returned a response without an invalidation.")
    return Invalidation(id=number, is_completed=root.findtext("{*}Status", "").lower() == "completed")


def error_code(body: bytes) -> str:
    """Return the code of an error response, or an empty string without one."""
    root = _parsed(body)
    code = "" if root is None else root.findtext(".//{*}Code", "")
    return code if code.isalnum() else ""


def _parsed(body: bytes) -> ET.Element | None:
    try:
        return ET.fromstring(body)  # noqa: S314 - a body is short, and expat limits the expansion of entities
    except ET.ParseError:
        return None
