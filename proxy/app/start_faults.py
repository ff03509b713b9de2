"""Messages for parts that cannot start, with the setting to change, the path or host, and the name of the error."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from proxy.errors import CannotStart, ImagesError, StoreRefused, StoreUnavailable
from proxy.settings.validators import mask_passwords
from proxy.stores.certificates import BUNDLES
from proxy.system.faults import causes, path_fault, reason, stated_error, system_error, with_reason
from proxy.system.scratch import scratch_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.settings.settings import Settings

_FOLDER: Final = "file://"
_SQLITE: Final = "sqlite:///"


@contextmanager
def explained(explain: Callable[[Exception], str]) -> Iterator[None]:
    """Replace an error within the block by a `CannotStart` with the message of `explain`.

    Raises:
        CannotStart: a part cannot start.
    """
    try:
        yield
    except (ImagesError, OSError) as error:
        raise CannotStart(explain(error)) from error


def store_fault(error: Exception, *, settings: Settings) -> str:
    """Return why the store cannot be used."""
    if settings.store.startswith(_FOLDER):
        folder = Path(settings.store.removeprefix(_FOLDER)).absolute()
        return _path_fault(error, "STORE", folder, advice="set a folder that this user can write to")
    if str(error).startswith(("PUBLIC_BASE_URL", "ORIGINALS_BASE_URL: ", *BUNDLES)):
        has_cause = isinstance(error, StoreUnavailable)
        return with_reason(str(error), system_error(error)) if has_cause else str(error)
    if isinstance(error, StoreRefused) or (cause := system_error(error)) is None:
        bucket = settings.store.removeprefix("s3://")
        return _located("STORE", f"bucket {bucket} at {settings.s3_endpoint_url or 'Amazon S3'}", str(error))
    if any("ORIGINALS_BASE_URL" in str(one) for one in causes(error)):
        return f"ORIGINALS_BASE_URL: {mask_passwords(settings.originals_base_url)} cannot be reached: {reason(cause)}"
    if settings.s3_endpoint_url:
        return f"S3_ENDPOINT_URL: {settings.s3_endpoint_url} cannot be reached: {reason(cause)}"
    return f"STORE: {settings.store} at Amazon S3 cannot be reached: {reason(cause)}; is S3_ENDPOINT_URL missing?"


def queue_fault(error: Exception, *, settings: Settings) -> str:
    """Return why the queue cannot be used."""
    if settings.queue.startswith(_SQLITE):
        path = Path(settings.queue.removeprefix(_SQLITE)).absolute()
        return _path_fault(error, "QUEUE", path, advice="set a file in a folder that this user can write to")
    if cause := system_error(error) or stated_error(str(error)):
        server = mask_passwords(settings.queue)
        return f"QUEUE: {server} cannot be reached: {reason(cause)}; start that server, or correct the address"
    return _located("QUEUE", urlsplit(settings.queue).hostname or "", str(error).rstrip("."))


def scratch_fault(error: Exception) -> str:
    """Return why the scratch folder cannot be used."""
    advice = "set a folder that this user can write to"
    try:
        place = scratch_place()
    except OSError as none:  # none of the folders that Python tries is writable
        return f"TMPDIR: {none.strerror}; {advice}"
    folder = os.environ.get("TMPDIR")
    if folder and not place.is_relative_to(Path(folder).absolute()):  # Python has found another folder
        place = Path(folder).absolute()
    return _path_fault(error, "TMPDIR", place, advice=advice)


def render_fault(error: Exception) -> str:
    """Return why nothing can be rendered."""
    if isinstance(error, CannotStart):  # it names the setting
        return str(error)
    cause = system_error(error)
    return f"renderers: a render process cannot be started: {reason(cause)}" if cause else f"renderers: {error}"


def cdn_fault(error: Exception) -> str:
    """Return why the CDN cannot be purged."""
    return with_reason(_located("CDN_PURGE", "", str(error)), system_error(error))


def _path_fault(error: Exception, setting: str, path: Path, *, advice: str) -> str:
    cause = system_error(error)
    if cause is None:
        return _located(setting, str(path), str(error))
    return f"{setting}: {path_fault(cause, path)}; {advice}"


def _located(setting: str, where: str, text: str) -> str:
    text = text.removeprefix(f"{setting}: ")
    return f"{setting}: {text}" if where in text else f"{setting}: {where}: {text}"
