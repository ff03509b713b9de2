"""Render processes for tests that look at them, and end them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.proxy.conftest import rendering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.rendering.pool import RenderPool


@pytest.fixture
async def render_pool() -> AsyncIterator[RenderPool]:
    """A pool of a test's own."""
    async with rendering() as pool:
        yield pool
