"""What to try first with a service that has just started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.settings import Settings

HINTS = """\
Gallformers images listens on {address}. Try, from another terminal:

{upload}
  curl -X POST {address}/v1/jobs -H 'content-type: application/json' -d '{{"key": "gall/1/1_1_original.jpg"}}'
  curl -i {address}/img/gall/1/1_1_original.jpg/medium

Every route with a form to try it: {address}/schema   Stop with Ctrl-C.
"""


def what_to_try(settings: Settings) -> str:
    """Give the commands that take a first original through the service, with its own address and store."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return HINTS.format(address=f"http://{host}:{settings.port}", upload=_upload(settings))


def _upload(settings: Settings) -> str:
    """Give the commands that put an original into the store."""
    if settings.store.startswith("s3://"):
        endpoint = f" --endpoint-url {settings.s3_endpoint_url}" if settings.s3_endpoint_url else ""
        return f"  aws s3 cp photo.jpg {settings.store}/gall/1/1_1_original.jpg{endpoint}"
    folder = settings.store.removeprefix("file://")
    return f"  mkdir -p {folder}/gall/1\n  cp photo.jpg {folder}/gall/1/1_1_original.jpg"
