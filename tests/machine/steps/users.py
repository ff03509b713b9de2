"""What users of the service do: sites post, replace and remove pictures, and visitors view them."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.machine.bucket import SIZES
from tests.machine.promises import QUEUE_SIZE
from tests.machine.steps.steps import Steps, any_number, nodes, pictures

CROWD = 3 * QUEUE_SIZE
"""How many new pictures a crowd posts at once: more than the queue may hold, whatever the workers take meanwhile."""


class UserSteps(Steps):
    """The steps of users."""

    @rule()
    def go_on(self) -> None:
        """Only go on as always; Hypothesis takes the rule with the fewest arguments for the whole first example."""
        self._act("nothing else", lambda: None)

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

    @rule(node=nodes)
    def upload(self, node: int) -> None:
        """Upload a new picture to a URL of the service."""
        self._act(f"upload to {node}", lambda: self.site.upload(self._node(node), is_cut_off=False))

    @rule(node=nodes)
    def upload_cut_off(self, node: int) -> None:
        """Upload half of a new picture."""
        self._act(f"upload a half to {node}", lambda: self.site.upload(self._node(node), is_cut_off=True))

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

    @rule(picture=pictures, node=nodes, is_removal=st.booleans())
    def report(self, picture: int, node: int, *, is_removal: bool) -> None:
        """Deliver an event late, a second time, or out of order."""
        self._act(
            f"report the {'removal' if is_removal else 'upload'} of {picture} to {node}",
            lambda: self.site.report(self._picture(picture), self._node(node), is_removal=is_removal),
        )

    @rule(picture=pictures, node=nodes, is_removal=st.booleans())
    def change(self, picture: int, node: int, *, is_removal: bool) -> None:
        """Upload or remove an original, which only the bucket reports."""

        def act() -> None:
            (self.site.remove if is_removal else self.site.write)(self._picture(picture))
            self.site.report(self._picture(picture), self._node(node), is_removal=is_removal)

        self._act(f"{'remove' if is_removal else 'upload'} {picture}, reported to {node}", act)

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

    @rule(picture=pictures, node=nodes, size=st.sampled_from(list(SIZES)))
    def view(self, picture: int, node: int, size: str) -> None:
        """View a page."""
        self._act(
            f"view {picture} at {node}, {size}",
            lambda: self.site.look(self._picture(picture), self._node(node), size),
        )

    @rule(picture=pictures, node=nodes)
    def describe(self, picture: int, node: int) -> None:
        """Request what a page needs to know of a picture."""
        self._act(f"describe {picture} at {node}", lambda: self.site.describe(self._picture(picture), self._node(node)))

    @rule(picture=pictures, node=nodes)
    def read_facts(self, picture: int, node: int) -> None:
        """Request the facts of an original."""
        self._act(
            f"facts of {picture} at {node}", lambda: self.site.read_facts(self._picture(picture), self._node(node))
        )

    @rule(node=nodes)
    def crowd(self, node: int) -> None:
        """Pause the queue, post more new pictures than it may hold, and resume it."""

        def act() -> None:
            self.world.is_paused = True
            self.site.pause(self._node(node), is_paused=True)
            for number in range(CROWD):
                self.site.post(self.site.add_picture(), self._node(number % 2), has_callback=False)
            self.site.count_waiting(self._node(node))
            self._resume(node)

        self._act(f"a crowd posts at both, paused at {node}", act)
