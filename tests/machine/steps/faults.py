"""What the world around the machines does: the store, the queue and the receiver of callbacks fail for a while."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.machine.steps.steps import Steps, durations
from tests.proxy.stores.fault_proxy import CALM, Fault, Refusal

FAULTS = {
    "slow": Fault(latency_seconds=0.15),
    "errors": Fault(errors=0.3),
    "resets": Fault(resets=0.3),
    "cuts": Fault(cuts=0.3),
    "lies": Fault(lies=0.3),
    "garbles": Fault(garbles=0.3),
    "stopped": Fault(stopped=True),
}

REFUSALS = {
    "the key is disabled": Refusal(code="InvalidAccessKeyId"),
    "the token has expired": Refusal(status=400, code="ExpiredToken"),
    "the policy allows nothing": Refusal(),
    "the policy allows only reads": Refusal(method="PUT"),
}


class FaultSteps(Steps):
    """The steps of the world around."""

    @initialize(fault=st.sampled_from(list(FAULTS)), steps=durations)
    def begin(self, fault: str, steps: int) -> None:
        """Begin with new pictures, and a store that fails for a while."""
        self._act("--- new pictures", self._begin)
        self.disturb_store(fault, steps)

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

    @rule(refusal=st.sampled_from(list(REFUSALS)), steps=durations)
    def refuse_credentials(self, refusal: str, steps: int) -> None:
        """Let the store refuse the credentials for a while."""

        def act() -> None:
            self.world.path.set(Fault(refusal=REFUSALS[refusal]))
            self._later(steps, "the store accepts the credentials", lambda: self.world.path.set(CALM))

        self._act(f"store: {refusal} for {steps} steps", act)
