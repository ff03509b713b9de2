"""Exponential back-off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.bulk.outages import OutagePolicy
from proxy.concurrency.backoff import JITTER, Backoff
from proxy.jobs.retry_policies import RETRY_POLICIES
from proxy.stores.retry import StoreRetryPolicy
from proxy.webhooks.dispatcher import BUSY_RECEIVER

POLICIES = {
    "store": StoreRetryPolicy(),
    "bulk run": OutagePolicy(),
    "busy receiver": BUSY_RECEIVER,
    **{f"job: {fault.code}": policy for fault, policy in RETRY_POLICIES.items()},
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@given(attempt=st.integers(min_value=1, max_value=2000))
def test_every_wait_doubles_up_to_the_longest_within_one_jitter(policy: Backoff, attempt: int) -> None:
    expected = min(policy.first_seconds * 2.0 ** min(attempt - 1, 60), policy.longest_seconds)
    assert 1 - JITTER <= policy.wait_seconds(attempt) / expected <= 1 + JITTER


def test_waits_of_callers_that_failed_together_differ() -> None:
    waits = {StoreRetryPolicy().wait_seconds(1) for _ in range(20)}
    assert len(waits) > 1
