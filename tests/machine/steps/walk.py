"""A walk of random steps, which a seed decides, and the report of a promise that was broken on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.promises import evidence
from tests.machine.steps.faults import FaultSteps
from tests.machine.steps.machines import MachineSteps
from tests.machine.steps.renders import RenderSteps
from tests.machine.steps.steps import EXAMPLE_STEPS
from tests.machine.steps.users import UserSteps

if TYPE_CHECKING:
    from tests.machine.world import World


class AllSteps(UserSteps, FaultSteps, MachineSteps, RenderSteps):
    """Whatever users, operators and accidents do."""


def run_steps(world: World, *, steps: int, chosen: int) -> int:
    """Take at least that many steps, which the seed `chosen` decides; return how many.

    Raises:
        AssertionError: a promise was broken; the message has the steps before.
    """
    machine: type[AllSteps] = type("SeededSteps", (AllSteps,), {"world": world, "target": steps})
    run_state_machine_as_test(
        seed(chosen)(machine),
        settings=settings(
            max_examples=2 * (2 + steps // EXAMPLE_STEPS),  # some may have fewer steps; those too many do nothing
            stateful_step_count=EXAMPLE_STEPS + 1,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    if machine.broken:
        raise AssertionError(report(world, machine.broken, steps=machine.taken))
    return machine.taken


def report(world: World, broken: str, *, steps: int) -> str:
    """Return what was broken, after how many steps, and what happened before: steps, answers, and lines of the logs."""
    last = [*world.trace[-(EXAMPLE_STEPS + 10) :], *world.site.answers, *evidence(world.nodes, broken)]
    return "\n".join([f"after {steps} steps: {broken}", *sorted(last)])
