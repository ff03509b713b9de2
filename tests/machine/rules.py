"""The steps: what users, operators and accidents do to the service, in any order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, get_args

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from proxy.system.failpoints import ACTIONS, Point
from tests.machine.bucket import SIZES
from tests.machine.nodes import wait_until_one_is_frozen
from tests.machine.promises import evidence
from tests.machine.site import Violation
from tests.proxy.stores.fault_proxy import CALM, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.machine.nodes import Action, Node
    from tests.machine.site import Picture
    from tests.machine.world import World

PICTURES = 3
"""How many pictures the steps of one example are about: few, so that steps meet."""

BUSY = 2
"""How many more pictures are posted, replaced and viewed meanwhile."""

FROZEN_SECONDS = 2.0
"""How long a step waits until a machine has stopped at a failpoint."""

EXAMPLE_STEPS = 40
"""After so many steps all faults end, and everything is checked."""

FAULTS = {
    "slow": Fault(latency_seconds=0.15),
    "errors": Fault(errors=0.3),
    "resets": Fault(resets=0.3),
    "cuts": Fault(cuts=0.3),
    "lies": Fault(lies=0.3),
    "garbles": Fault(garbles=0.3),
    "stopped": Fault(stopped=True),
}

pictures = st.integers(0, PICTURES - 1)
nodes = st.integers(0, 1)
any_number = st.integers(0, 1000)
durations = st.integers(1, 8)
points: st.SearchStrategy[Point] = st.sampled_from(get_args(Point))
actions: st.SearchStrategy[Action] = st.sampled_from(list(ACTIONS))


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

    @initialize(fault=st.sampled_from(list(FAULTS)), steps=durations)
    def begin(self, fault: str, steps: int) -> None:
        """Begin with new pictures, and a store that fails for a while."""
        self._act("--- new pictures", self._begin)
        self.disturb_store(fault, steps)

    @rule(picture=pictures, node=nodes, has_callback=st.booleans())
    def post(self, picture: int, node: int, *, has_callback: bool) -> None:
        """Post a job."""
        self._act(
            f"post {picture} to {node}{' with a callback' if has_callback else ''}",
            lambda: self.site.post(self._picture(picture), self._node(node), has_callback=has_callback),
        )

    @rule(number=any_number, node=nodes)
    def repeat(self, number: int, node: int) -> None:
        """Send an earlier message again, as a sender does that got no answer."""

        def act() -> None:
            if self.site.posts:
                self.site.send(self.site.posts[number % len(self.site.posts)], self._node(node))

        self._act(f"repeat {number} to {node}", act)

    @rule(picture=pictures, node=nodes, is_announced=st.booleans())
    def replace(self, picture: int, node: int, *, is_announced: bool) -> None:
        """Upload another original, with or without a job for it."""

        def act() -> None:
            self.site.write(self._picture(picture))
            if is_announced:
                self.site.post(self._picture(picture), self._node(node), has_callback=True)

        self._act(f"replace {picture}{f' and post to {node}' if is_announced else ''}", act)

    @rule(picture=pictures, node=nodes)
    def correct(self, picture: int, node: int) -> None:
        """Upload a picture, and at once the right one."""

        def act() -> None:
            for _ in range(2):
                self.site.write(self._picture(picture))
                self.site.post(self._picture(picture), self._node(node), has_callback=True)

        self._act(f"correct {picture} at {node}", act)

    @rule(picture=pictures, node=nodes, with_original=st.booleans())
    def purge(self, picture: int, node: int, *, with_original: bool) -> None:
        """Take a picture down, or purge its derivatives."""
        self._act(
            f"{'take down' if with_original else 'purge'} {picture} at {node}",
            lambda: self.site.purge(self._picture(picture), self._node(node), with_original=with_original),
        )

    @rule(number=any_number, node=nodes)
    def replay(self, number: int, node: int) -> None:
        """Replay a job."""

        def act() -> None:
            if promised := list(self.site.promises):
                self.site.replay(promised[number % len(promised)], self._node(node))

        self._act(f"replay {number} at {node}", act)

    @rule(number=any_number, node=nodes)
    def cancel(self, number: int, node: int) -> None:
        """Cancel a job."""

        def act() -> None:
            if promised := list(self.site.promises):
                self.site.cancel(promised[number % len(promised)], self._node(node))

        self._act(f"cancel {number} at {node}", act)

    @rule(node=nodes, steps=durations)
    def pause(self, node: int, steps: int) -> None:
        """Pause the queue for a while."""

        def act() -> None:
            self.world.is_paused = True
            self.site.pause(self._node(node), is_paused=True)
            self._later(steps, "the queue is resumed", lambda: self._resume(node))

        self._act(f"pause at {node} for {steps} steps", act)

    @rule(node=nodes)
    def take_down_in_render(self, node: int) -> None:
        """Take a new picture down at one machine while another renders it and has its power cut at an upload."""

        def act() -> None:
            picture = self.site.add_picture()
            for one in self.world.nodes:
                one.order("original-rendered", "stop")
            self.site.post(picture, self._node(node), has_callback=True)
            renders = wait_until_one_is_frozen(self.world.nodes, FROZEN_SECONDS)
            for one in self.world.nodes:
                one.disarm()
            if renders:
                (other,) = (one for one in self.world.nodes if one is not renders)
                self.site.purge(picture, other, with_original=True)
                renders.order("derivative-put", "kill")
                renders.thaw()

        self._act(f"post to {node}, and take the picture down while it is rendered", act)

    @rule(picture=pictures, node=nodes, size=st.sampled_from(list(SIZES)))
    def view(self, picture: int, node: int, size: str) -> None:
        """View a page."""
        self._act(
            f"view {picture} at {node}, {size}",
            lambda: self.site.look(self._picture(picture), self._node(node), size),
        )

    @rule(fault=st.sampled_from(list(FAULTS)), steps=durations)
    def disturb_store(self, fault: str, steps: int) -> None:
        """Let the store fail, lose answers, or not answer at all."""

        def act() -> None:
            self.world.path.set(FAULTS[fault])
            self._later(steps, "the store works", lambda: self.world.path.set(CALM))

        self._act(f"store: {fault} for {steps} steps", act)

    @rule(status=st.sampled_from([500, 503]), steps=durations)
    def disturb_receiver(self, status: int, steps: int) -> None:
        """Take the receiver of callbacks down."""

        def act() -> None:
            self.world.receiver.refuse(status)
            self._later(steps, "the receiver works", lambda: self.world.receiver.refuse(None))

        self._act(f"receiver: {status} for {steps} steps", act)

    @rule(steps=durations)
    def stall_queue(self, steps: int) -> None:
        """Let the queue not respond."""

        def act() -> None:
            self.world.queue.stall()
            self._later(steps, "the queue works", self.world.queue.resume)

        self._act(f"queue: stalled for {steps} steps", act)

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

    def _want(self, node: int) -> None:
        self._node(node).is_wanted = True

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


def run_steps(world: World, *, steps: int, chosen: int) -> int:
    """Take at least that many steps, which the seed `chosen` decides; return how many.

    Raises:
        AssertionError: a promise was broken; the message has the steps before.
    """
    machine: type[Steps] = type("SeededSteps", (Steps,), {"world": world, "target": steps})
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
