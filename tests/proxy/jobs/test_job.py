"""What the queue stores of a job."""

from __future__ import annotations

import msgspec

from proxy.jobs.job import JobOutcome


def test_the_time_of_a_retry_is_stored_under_the_name_that_older_versions_read() -> None:
    assert msgspec.to_builtins(JobOutcome(retry_at=5.0)) == {"put_off_until": 5.0}
    assert msgspec.convert({"put_off_until": 5.0}, JobOutcome) == JobOutcome(retry_at=5.0)
