"""Contract tests on a running MinIO with default credentials: `MINIO_URL=http://127.0.0.1:9000`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from botocore.session import get_session

from proxy.stores.s3.config import BucketConfig, Credentials
from tests.proxy.stores.contract import StoreContract
from tests.proxy.stores.s3.s3_stores import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.stores.base import Store

MINIO = Credentials(access_key_id="minioadmin", secret_access_key="minioadmin")

pytestmark = pytest.mark.skipif(
    "MINIO_URL" not in os.environ, reason="no MinIO here: set MINIO_URL to one with default credentials"
)


class TestMinio(StoreContract):
    """The contract, on a new MinIO bucket for each test."""

    @pytest.fixture
    async def store(self, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
        name = tmp_path_factory.mktemp("bucket").name.replace("_", "-").lower() + f"-{os.getpid()}"
        client = get_session().create_client(
            "s3",
            endpoint_url=os.environ["MINIO_URL"],
            region_name="us-east-1",
            aws_access_key_id=MINIO.access_key_id,
            aws_secret_access_key=MINIO.secret_access_key,
        )
        client.create_bucket(Bucket=name)
        bucket = BucketConfig(
            name=name, endpoint_url=os.environ["MINIO_URL"], region="us-east-1", addressing="path", acl=""
        )
        async with opened(bucket, MINIO) as store:
            yield store
