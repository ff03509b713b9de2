"""The order of an upload: for which key, what may be sent, and the job that follows."""

from __future__ import annotations

import msgspec

from proxy.jobs.request import JobRequest


class UploadOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a site permits a browser to upload, once: the original under one key, and the job that follows."""

    key: str
    sizes: tuple[str, ...] = ()
    force: bool = False
    callback_url: str = ""
    replace: bool = False
    """Whether the upload replaces an original that exists."""
    content_type: str = ""
    """The only type that may be uploaded; empty for every type of originals."""
    bytes: int = 0
    """The only length that may be uploaded; 0 for every length up to the limit."""

    @property
    def job(self) -> JobRequest:
        """The job that follows the upload."""
        sizes = tuple(dict.fromkeys(self.sizes))
        return JobRequest(key=self.key, sizes=sizes, force=self.force, callback_url=self.callback_url)
