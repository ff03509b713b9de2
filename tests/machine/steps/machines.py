"""What happens to the machines: operators end and pause them, accidents kill and stop them or change their clocks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, get_args

from hypothesis import strategies as st
from hypothesis.stateful import rule

from proxy.system.failpoints import ACTIONS, Point
from tests.machine.clock import STEPS_SECONDS
from tests.machine.steps.steps import Steps, durations, nodes, pictures

if TYPE_CHECKING:
    from tests.machine.nodes import Action

points: st.SearchStrategy[Point] = st.sampled_from(get_args(Point))
actions: st.SearchStrategy[Action] = st.sampled_from(list(ACTIONS))


class MachineSteps(Steps):
    """The steps of operators and accidents."""

    @rule(node=nodes, steps=durations)
    def pause(self, node: int, steps: int) -> None:
        """Pause the queue for a while."""

        def act() -> None:
            self.world.is_paused = True
            self.site.pause(self._node(node), is_paused=True)
            self._later(steps, "the queue is resumed", lambda: self._resume(node))

        self._act(f"pause at {node} for {steps} steps", act)

    @rule(node=nodes, after_ms=st.integers(0, 300), with_children=st.booleans())
    def kill(self, node: int, after_ms: int, *, with_children: bool) -> None:
        """Kill a machine, or only its main process; the platform starts it again."""

        def act() -> None:
            time.sleep(after_ms / 1000)  # the experiment itself
            self._node(node).kill(with_children=with_children)

        self._act(f"kill {node} after {after_ms} ms{'' if with_children else ', not its renders'}", act)

    @rule(node=nodes, has_callback=st.booleans())
    def cut_power_in_stall(self, node: int, *, has_callback: bool) -> None:
        """Kill a machine while it waits for the queue to store the job of a new picture."""

        def act() -> None:
            picture = self.site.add_picture()
            self.world.queue.stall()
            self.site.post(picture, self._node(node), has_callback=has_callback)
            self._node(node).kill()
            self.world.queue.resume()

        self._act(f"post to {node}, whose power is cut while the queue is stalled", act)

    @rule(node=nodes)
    def terminate(self, node: int) -> None:
        """Ask a machine to end; the platform starts it again."""
        self._act(f"terminate {node}", self._node(node).terminate)

    @rule(node=nodes, steps=durations)
    def scale_down(self, node: int, steps: int) -> None:
        """Take a machine out of service for a while."""

        def act() -> None:
            self._node(node).is_wanted = False
            self._node(node).terminate()
            self._later(steps, f"start {node}", lambda: self._want(node))

        self._act(f"scale down {node} for {steps} steps", act)

    @rule(node=nodes, steps=durations)
    def freeze(self, node: int, steps: int) -> None:
        """Stop a machine's process, and continue it later."""

        def act() -> None:
            self._node(node).freeze()
            self._later(steps, f"thaw {node}", self._node(node).thaw)

        self._act(f"freeze {node} for {steps} steps", act)

    @rule(node=nodes, picture=pictures, point=points, action=actions, steps=durations)
    def arm(self, node: int, picture: int, point: Point, action: Action, steps: int) -> None:
        """Have a machine killed or stopped between two steps of the job of a new original."""

        def act() -> None:
            self._node(node).order(point, action)
            self._later(steps, f"thaw {node}", self._node(node).thaw)
            self.site.write(self._picture(picture))
            self.site.post(self._picture(picture), self._node(node), has_callback=True)

        self._act(f"arm {node}: {action} at {point} for {steps} steps, write and post {picture}", act)

    @rule(node=nodes, offset=st.sampled_from(STEPS_SECONDS), steps=durations)
    def set_clock(self, node: int, offset: int, steps: int) -> None:
        """Set the clock of a machine forward or back, and right again later."""

        def act() -> None:
            self._set_clock(node, offset)
            self._later(steps, f"the clock of {node} is right", lambda: self._set_clock(node, 0))

        self._act(f"set the clock of {node} by {offset} s for {steps} steps", act)

    def _want(self, node: int) -> None:
        self._node(node).is_wanted = True

    def _set_clock(self, node: int, offset: int) -> None:
        """Set the clock of a machine, or of both, if they stand for two services on one machine."""
        for one in self.world.nodes if self.world.has_one_clock else [self._node(node)]:
            one.clock.set(offset)
