"""What the log says, and what it keeps to itself."""

from __future__ import annotations

import logging

from saq import Job

from proxy.logs import without_orders


def test_the_queues_library_names_a_job_without_what_was_ordered() -> None:
    job = Job("make_derivatives", key="a1", kwargs={"callback_url": "https://example.org/hunter2"})
    record = logging.LogRecord("saq", logging.ERROR, "", 0, "Error processing job %s", (job,), None)
    assert without_orders(record)
    said = record.getMessage()
    assert "a1" in said
    assert "hunter2" not in said


def test_other_lines_stay_as_they_are() -> None:
    record = logging.LogRecord("uvicorn", logging.INFO, "", 0, "%s of %d", ("some", 3), None)
    assert without_orders(record)
    assert record.getMessage() == "some of 3"
