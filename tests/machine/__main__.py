"""Runs the state machine by hand: `python -m tests.machine --queue redis --steps 3000 --seed 1`."""

from __future__ import annotations

import random
import sys
import time
from typing import get_args

import click

from tests.machine.mutations import MUTATIONS, hunt
from tests.machine.queues import QueueKind
from tests.machine.steps.walk import run_steps
from tests.machine.world import running_world


@click.command()
@click.option("--queue", "kind", type=click.Choice(get_args(QueueKind)), help="sqlite, or that of the mutation.")
@click.option("--steps", default=300, show_default=True)
@click.option("--seed", "chosen", type=int, default=None, help="Repeats the steps of an earlier run.")
@click.option("--mutation", type=click.Choice([*MUTATIONS]), help="Runs on a copy of the product with this mistake.")
def main(kind: QueueKind | None, steps: int, chosen: int | None, mutation: str | None) -> None:
    """Take random steps against real processes until a promise is broken; exit with 1 if one is."""
    chosen = random.SystemRandom().randrange(1 << 32) if chosen is None else chosen
    if mutation:
        queue = kind or MUTATIONS[mutation].queue
        click.echo(f"{MUTATIONS[mutation].mistake}, on {queue}")
        found = hunt(MUTATIONS[mutation], queue=queue, steps=steps, chosen=chosen)
        click.echo(found.stdout + found.stderr)
        sys.exit(found.returncode)
    queue = kind or "sqlite"
    again = f"python -m tests.machine --queue {queue} --steps {steps} --seed {chosen}"
    click.echo(again)
    began = time.monotonic()
    with running_world(queue, seed=chosen) as world:
        try:
            taken = run_steps(world, steps=steps, chosen=chosen)
        except AssertionError as broken:
            click.echo(f"{broken}\n{again}")
            sys.exit(1)
    click.echo(f"{taken} steps in {time.monotonic() - began:.0f} s; {world.counts()}")


if __name__ == "__main__":
    main()
