"""Whatever users, operators and accidents do to two machines, in any order, what was promised is kept."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.machine.steps.walk import run_steps
from tests.machine.world import running_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.machine.queues import QueueKind

STEPS = 300

GATE_SEED = 1
"""The seed in CI, whose result has to depend on the change alone; .github/workflows/explore.yml walks new ones."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "queue",
    [
        "sqlite",
        pytest.param("redis", marks=pytest.mark.needs("redis-server", "redis-server")),
        pytest.param("postgres", marks=pytest.mark.needs("postgres", "postgresql")),
    ],
)
def test_every_promise_is_kept_whatever_happens_in_whatever_order(
    queue: QueueKind, record_property: Callable[[str, object], None]
) -> None:
    chosen = GATE_SEED if os.environ.get("CI") else random.SystemRandom().randrange(1 << 32)
    again = f"python -m tests.machine --queue {queue} --steps {STEPS} --seed {chosen}"
    record_property("to repeat", again)
    with running_world(queue, seed=chosen) as world:
        try:
            taken = run_steps(world, steps=STEPS, chosen=chosen)
        except AssertionError as broken:
            pytest.fail(f"{broken}\nTo repeat: {again}", pytrace=False)
    assert taken >= STEPS
    record_property("counts", f"{taken} steps; {world.counts()}")
