"""What happens to an original while the machine that renders it stands still, to go on later or to lose its power."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.machine.fork_server import LEASE_SECONDS
from tests.machine.nodes import LOOK_EVERY_SECONDS, wait_until_one_is_held
from tests.machine.steps.machines import actions
from tests.machine.steps.steps import Steps, nodes
from tests.proxy.stores.fault_proxy import CALM

if TYPE_CHECKING:
    from proxy.system.failpoints import Point
    from tests.machine.nodes import Action, Node
    from tests.machine.site import Picture

HELD_SECONDS = 15.0
"""How long a step waits until a machine has stopped at a failpoint, on a machine that has much else to do."""

OTHERS_SECONDS = LEASE_SECONDS + 12.0
"""How long a machine stands still at most: others take its job over meanwhile, and end it."""


class Hold(NamedTuple):
    """What makes a machine render a new picture, and where it then stops."""

    cause: Literal["post", "view"]
    point: Point


HOLDS: Final = (
    Hold("post", "original-rendered"),
    Hold("post", "derivative-put"),
    Hold("post", "derivatives-made"),
    Hold("view", "original-rendered"),
    Hold("view", "derivative-put"),
)

TAKEDOWN_POINTS: Final[tuple[Point, ...]] = ("takedown-removed", "takedown-purged")

Change = Literal["replace", "take down", "take down and write"]

TOLD: Final[dict[Change, str]] = {"replace": "post", "take down": "purge", "take down and write": "post"}
"""What the other machine is told last of a change."""

holds: st.SearchStrategy[Hold] = st.sampled_from(HOLDS)
removals: st.SearchStrategy[Change] = st.sampled_from(["take down", "take down and write"])


class RenderSteps(Steps):
    """The steps around a machine that stands still while it renders.

    Each lifts the faults of the store and the queue first, or the machine would seldom come as far as that.
    """

    @rule(node=nodes, hold=holds, is_long=st.booleans())
    def replace_in_render(self, node: int, hold: Hold, *, is_long: bool) -> None:
        """Replace a new picture while a machine that renders it stands still, which then goes on.

        The other machine is told. With `is_long`, it has ended the picture's jobs before.
        """
        self._change_in_render(node, hold, "replace", is_long=is_long)

    @rule(node=nodes, hold=holds, change=removals, is_long=st.booleans())
    def remove_in_render(self, node: int, hold: Hold, change: Change, *, is_long: bool) -> None:
        """Remove a new picture while a machine that renders it stands still; see `replace_in_render`."""
        self._change_in_render(node, hold, change, is_long=is_long)

    def _change_in_render(self, node: int, hold: Hold, change: Change, *, is_long: bool) -> None:
        def act() -> None:
            picture = self._calm_picture()
            if renders := self._hold(picture, self._node(node), hold):
                self._change(picture, self._other(renders), change)
                if is_long and "post" in (hold.cause, TOLD[change]):
                    self._wait_until_ended(picture, self._other(renders))
                renders.thaw()

        until = " until the other has ended its jobs" if is_long else ""
        self._act(f"{hold.cause} at {node}, and {change} while it is held at {hold.point}{until}", act)

    @rule(node=nodes)
    def take_down_in_render(self, node: int) -> None:
        """Take a new picture down at one machine while another renders it and has its power cut at an upload."""

        def act() -> None:
            picture = self._calm_picture()
            if renders := self._hold(picture, self._node(node), Hold("post", "original-rendered")):
                self._change(picture, self._other(renders), "take down")
                renders.order("derivative-put", "kill")
                renders.thaw()

        self._act(f"post to {node}, and take the picture down while it is rendered", act)

    @rule(node=nodes, hold=holds, is_long=st.booleans(), is_stray=st.booleans())
    def take_down_for_good(self, node: int, hold: Hold, *, is_long: bool, is_stray: bool) -> None:
        """Take a new picture down by the service while a machine that renders it stands still, which then goes on.

        With `is_long`, the machine stands still until the takedown has ended. With `is_stray`, so it does, and the
        original is uploaded once more then, reported by the bucket, and viewed.
        """

        def act() -> None:
            picture = self._calm_picture()
            renders = self._hold(picture, self._node(node), hold)
            other = self._other(renders) if renders else self._node(node)
            self.site.take_down(picture, other)
            if is_long or is_stray:
                self._wait_until_ended(picture, other)
            if is_stray:
                self.site.stray(picture)
                self.site.report(picture, other, is_removal=False)
                self.site.look(picture, other, "large")
            if renders:
                renders.thaw()

        how = (
            f"{' until it has ended' if is_long or is_stray else ''}{', and it is uploaded again' if is_stray else ''}"
        )
        self._act(f"{hold.cause} at {node}, held at {hold.point}, and take it down for good{how}", act)

    @rule(node=nodes, end=st.sampled_from(TAKEDOWN_POINTS), action=actions)
    def interrupt_takedown(self, node: int, end: Point, action: Action) -> None:
        """Kill or stop a machine in the middle of a takedown."""

        def act() -> None:
            picture = self._calm_picture()
            self.site.post(picture, self._node(node), has_callback=True)
            for one in self.world.nodes:
                one.order(end, action, picture.key)
            self.site.take_down(picture, self._node(node))

        self._act(f"take a new picture down at {node}, {action} at {end}", act)

    def _calm_picture(self) -> Picture:
        """Lift the faults of the store and the queue, let both machines go on, and return a new picture."""
        self.world.path.set(CALM)
        self.world.queue.resume()
        for one in self.world.nodes:
            one.thaw()
        if self.world.is_paused:
            self._resume(0)
        return self.site.add_picture()

    def _hold(self, picture: Picture, node: Node, hold: Hold) -> Node | None:
        """Have a picture rendered; return the machine that stopped with it, or None if none did in time."""
        for one in self.world.nodes:
            one.order(hold.point, "stop", picture.key)
        if hold.cause == "post":
            self.site.post(picture, node, has_callback=True)
        else:
            self.site.look(picture, node, "large")
        held = wait_until_one_is_held(self.world.nodes, HELD_SECONDS)
        for one in self.world.nodes:
            one.disarm()
        return held

    def _change(self, picture: Picture, node: Node, change: Change) -> None:
        """Change an original, and tell a machine of it."""
        if change != "replace":
            self.site.purge(picture, node, with_original=True)
        if change != "take down":
            self.site.write(picture)
            self.site.post(picture, node, has_callback=True)

    def _wait_until_ended(self, picture: Picture, node: Node) -> None:
        """Wait until all jobs of a picture have ended, as a machine shows them, but only for `OTHERS_SECONDS`."""
        deadline = time.monotonic() + OTHERS_SECONDS
        while not self.site.has_ended(picture, node) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_SECONDS)  # nothing reports the end of a job without a callback

    def _other(self, node: Node) -> Node:
        (other,) = (one for one in self.world.nodes if one is not node)
        return other
