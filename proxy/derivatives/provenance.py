"""Decides which blobs that page views find under the keys of derivatives are accepted as our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from proxy.derivatives.recipe import PROFILE
from proxy.stores.base import UNKNOWN_LENGTH

if TYPE_CHECKING:
    from proxy.stores.base import Blob

log = structlog.get_logger(__name__)


def is_picture(blob: Blob) -> bool:
    """Return whether a blob has bytes and the content type of a picture."""
    return blob.bytes > 0 and blob.attributes.content_type.lower().startswith("image/")


class Provenance:
    """What is known of a store's metadata, and so which of its blobs are accepted.

    A picture with a render profile, of any version, is ours. One without is accepted only if the store has shown that
    it does not return metadata: a derivative that was just uploaded came back without its own.
    """

    def __init__(self) -> None:
        self._lacks_metadata = False
        self.is_in_doubt = False
        """Whether a picture without a render profile was found since the last `learn`."""

    def accepts(self, blob: Blob) -> bool:
        """Return whether page views may be sent to a blob under the key of a derivative."""
        if not is_picture(blob):
            return False
        if PROFILE in blob.attributes.metadata:
            self._lacks_metadata = False
            return True
        self.is_in_doubt = self.is_in_doubt or not self._lacks_metadata
        return self._lacks_metadata

    def learn(self, read: Blob | None, *, written: int) -> None:
        """Learn from a blob that was read back after an upload of `written` bytes; log once that metadata is lost.

        A cache in front of the store may return an older blob, from which nothing follows.
        """
        self.is_in_doubt = False
        if read is None or read.bytes not in (written, UNKNOWN_LENGTH):
            return
        if PROFILE in read.attributes.metadata:
            self._lacks_metadata = False
        elif not self._lacks_metadata:
            self._lacks_metadata = True
            log.warning(
                "metadata_not_returned",
                detail="The store does not return the metadata of derivatives. Page views accept any picture under the "
                "key of a derivative, and every job renders again. Let the server or proxy pass x-amz-meta-* headers.",
            )
