"""What any answer to a post costs here: a bare Litestar route that parses and answers 202, with an fsync or without.

python -m tests.benchmarks.jobs.peer PORT [FILE]
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar, Request, Response, post


def app(file: str | None) -> Litestar:
    """Give the application; with a `file`, each post is appended to it and is on the disk before its answer leaves."""
    descriptor = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY) if file else None

    @post("/v1/jobs", status_code=202)
    async def parse(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
        body = await request.body()
        if descriptor is not None:
            await asyncio.to_thread(_keep, descriptor, body)
        return Response({"key": msgspec.json.decode(body, type=dict[str, str])["key"]}, status_code=202)

    return Litestar([parse], openapi_config=None, logging_config=None)


def _keep(descriptor: int, body: bytes) -> None:
    os.write(descriptor, body)
    os.fsync(descriptor)


if __name__ == "__main__":
    uvicorn.run(app(next(iter(sys.argv[2:]), None)), port=int(sys.argv[1]), log_config=None, access_log=False)
