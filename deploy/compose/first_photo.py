"""Put one photograph into the bucket, post its job as a site does, and print the addresses of its derivatives.

The service `photo` of compose.yaml runs it in the image of the service, with the same settings. The photograph is the
file that the first argument names. If that is empty, a sample with a position in its metadata is painted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import httpx
from botocore.config import Config
from botocore.session import get_session
from standardwebhooks import Webhook

FORMATS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp", b"GI": ".gif", b"II": ".tif", b"MM": ".tif"}
"""Extensions by the first two bytes; a file that is none of these is HEIC or AVIF, or is refused."""

SERVICE_URL = os.environ.get("SERVICE_URL", "http://localhost:8080")
JOB_SECONDS = 120


def main(photo: Path) -> None:
    """Put, post, wait, print.

    Raises:
        SystemExit: the job was refused, failed or did not end in time.
    """
    name = f"1_{int(time.time() * 1000)}_original"
    with tempfile.TemporaryDirectory() as folder:
        if not photo.stat().st_size:
            photo = Path(folder, "sample.jpg")
            subprocess.run([sys.executable, "-m", "pipeline.image.sample", str(photo)], check=True)
        with photo.open("rb") as file:
            key = f"gall/1/{name}{FORMATS.get(file.read(2), '.heic')}"
        put(key, photo)
        print(f"original    {photo.stat().st_size:9,} bytes  s3://{bucket()}/{key}")
    with httpx.Client(base_url=SERVICE_URL, timeout=30) as service:
        for made in derivatives(service, post(service, key)):
            print(f"{made['size']:11} {made['bytes']:9,} bytes  {made['width']} x {made['height']}  {made['url']}")
    print(f"page view   {SERVICE_URL}/img/{quote(key)}/large")


def bucket() -> str:
    """Return the name of the bucket."""
    return os.environ["STORE"].removeprefix("s3://")


def put(key: str, photo: Path) -> None:
    """Put the original into the bucket, with the credentials of the environment."""
    s3 = get_session().create_client(
        "s3", endpoint_url=os.environ["S3_ENDPOINT_URL"], config=Config(s3={"addressing_style": "path"})
    )
    with photo.open("rb") as body:
        s3.put_object(Bucket=bucket(), Key=key, Body=body)


def post(service: httpx.Client, key: str) -> str:
    """Post a signed job for all sizes of the original, and return the path at which it can be followed."""
    body, message, now = json.dumps({"key": key}), f"msg_{time.time_ns()}", datetime.now(tz=UTC)
    headers = {
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(os.environ["WEBHOOK_SECRETS"].split(",")[0]).sign(message, now, body),
    }
    posted = service.post("/v1/jobs", content=body, headers=headers)
    if posted.status_code != httpx.codes.ACCEPTED:
        raise SystemExit(f"the job was refused: {posted.text}")
    return posted.headers["location"]


def derivatives(service: httpx.Client, location: str) -> list[dict[str, str | int]]:
    """Follow a job until it ends, and return its derivatives."""
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        job = service.get(location).json()
        if job["status"] == "done":
            return job["derivatives"]
        if job["status"] == "error":
            raise SystemExit(f"the job failed: {job['error']['detail']}")
        time.sleep(0.2)
    raise SystemExit(f"the job did not end within {JOB_SECONDS} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
