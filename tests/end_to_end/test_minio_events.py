"""A real MinIO sends its events to the service: `MINIO_URL`, and `MINIO_EVENTS_PORT`, where its target expects one.

Its target is `arn:minio:sqs::IMAGES:webhook`, with the token `token-of-minio`; ci.yml starts it so.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from botocore.session import get_session

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, started
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botocore.client import BaseClient

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not {"MINIO_URL", "MINIO_EVENTS_PORT"} <= os.environ.keys(),
        reason="no MinIO here that sends events: set MINIO_URL and MINIO_EVENTS_PORT",
    ),
]

USER = "minioadmin"
KEY = "gall/a b+c%é/1_original.jpg"
TARGET = {
    "QueueArn": "arn:minio:sqs::IMAGES:webhook",
    "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
}


@pytest.fixture
def s3() -> BaseClient:
    return get_session().create_client(
        "s3",
        endpoint_url=os.environ["MINIO_URL"],
        region_name="us-east-1",
        aws_access_key_id=USER,
        aws_secret_access_key=USER,
    )


@pytest.fixture
def bucket(s3: BaseClient, tmp_path: Path) -> Iterator[str]:
    """Return the name of a bucket whose events go to a running service."""
    name = f"events-{os.getpid()}"
    s3.create_bucket(Bucket=name)
    settings = {
        "STORE": f"s3://{name}",
        "S3_ENDPOINT_URL": os.environ["MINIO_URL"],
        "S3_ADDRESSING": "path",
        "S3_ACL": "",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": USER,
        "AWS_SECRET_ACCESS_KEY": USER,
        "DELIVERY": "stream",
        "EVENTS_TOKEN": "token-of-minio",
        "EVENTS_REMOVE": "true",
    }
    with started(Service(folder=tmp_path, settings=settings, port=int(os.environ["MINIO_EVENTS_PORT"]))):
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"QueueConfigurations": [TARGET]}
        )
        yield name


async def test_an_original_is_rendered_and_its_derivatives_go_with_it(
    s3: BaseClient, bucket: str, tmp_path: Path
) -> None:
    def keys() -> set[str]:
        return {one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}

    paint(tmp_path / "photo.jpg", Photograph(width=200, height=150))
    s3.put_object(Bucket=bucket, Key=KEY, Body=(tmp_path / "photo.jpg").read_bytes())
    made = {KEY.replace("original", size) for size in ("original", "small", "medium", "large", "xlarge")}

    async def is_rendered() -> bool | None:
        return made <= keys() or None

    await until(is_rendered)
    s3.delete_object(Bucket=bucket, Key=KEY)

    async def is_gone() -> bool | None:
        return not made & keys() or None

    await until(is_gone)
