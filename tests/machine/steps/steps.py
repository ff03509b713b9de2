"""A state machine whose steps act on a world, and what every step has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from tests.machine.site import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.machine.nodes import Node
    from tests.machine.site import Picture
    from tests.machine.world import World

PICTURES = 3
"""How many pictures the steps of one example are about: few, so that steps meet."""

BUSY = 2
"""How many more pictures are posted, replaced and viewed meanwhile."""

EXAMPLE_STEPS = 40
"""After so many steps all faults end, and everything is checked."""

pictures = st.integers(0, PICTURES - 1)
nodes = st.integers(0, 1)
any_number = st.integers(0, 1000)
durations = st.integers(1, 8)


class Due(NamedTuple):
    """A step that is taken by itself, at a count of steps."""

    at: int
    step: str
    act: Callable[[], None]


class Steps(RuleBasedStateMachine):
    """The service as a state machine; each step may come after any other.

    Hypothesis chooses the steps by the seed alone. So no choice depends on an answer, and once a promise is broken or
    enough steps are taken, the rest do nothing.
    """

    world: World
    target: int
    """How many steps to take."""
    taken = 0
    """How many steps were taken in all examples."""
    broken = ""
    """The promise that was broken, if any was."""
    is_first = True
    """The first example does not count: it repeats the simplest step."""

    def __init__(self) -> None:
        super().__init__()
        self.site = self.world.site
        self._is_over = False
        self._clock = 0
        self._due: list[Due] = []

    def teardown(self) -> None:
        """End all faults, and check everything."""
        self._act("--- settle", self.world.settle)
        if type(self).is_first:
            type(self).taken, type(self).is_first = 0, False

    def _act(self, step: str, act: Callable[[], None]) -> None:
        """Take a step, and check what holds at every moment."""
        if self.broken or (step.endswith("new pictures") and self.taken >= self.target):
            self._is_over = True
        if self._is_over:
            return
        self.world.note(step)
        if not step.startswith("---"):
            self._pass_time()
        type(self).taken += not step.startswith("---")
        try:
            act()
            self.world.promises.check_now()
        except Violation as violation:
            type(self).broken = str(violation)

    def _later(self, steps: int, step: str, act: Callable[[], None]) -> None:
        """Take a step by itself after some others."""
        self._due.append(Due(self._clock + steps, step, act))

    def _pass_time(self) -> None:
        """Take the steps that are due, and start machines that have ended."""
        self._clock += 1
        for due in [one for one in self._due if one.at <= self._clock]:
            self._due.remove(due)
            self.world.note(due.step)
            due.act()
        for node in self.world.nodes:
            if node.is_wanted:
                node.start()
        self._go_on()

    def _go_on(self) -> None:
        """Use the service as a site does all the time, whatever step is taken."""
        turn, number = divmod(self._clock, BUSY)
        picture, node = self.site.pictures[PICTURES + number], self._node(turn % 2)
        if turn % 3 == 0:
            self.site.look(picture, node, "large")
        else:
            if turn % 3 == 1:
                self.site.write(picture)
            self.site.post(picture, node, has_callback=True)

    def _resume(self, node: int) -> None:
        self.world.is_paused = not self.site.pause(self._node(node), is_paused=False)

    def _begin(self) -> None:
        self.site.forget()
        for _ in range(PICTURES + BUSY):
            self.site.add_picture()
        for number, picture in enumerate(self.site.pictures):
            self.site.post(picture, self._node(number % 2), has_callback=True)

    def _picture(self, number: int) -> Picture:
        return self.site.pictures[number]

    def _node(self, number: int) -> Node:
        return self.world.nodes[number]
