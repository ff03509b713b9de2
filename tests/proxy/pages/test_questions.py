"""`/schema` asks before each request that deletes, or that acts on many jobs."""

from __future__ import annotations

import json

from click.testing import CliRunner

from proxy.cli.main import main
from proxy.pages.questions import QUESTIONS
from proxy.pages.reference import groups


def test_everything_that_deletes_or_acts_on_many_jobs_is_asked_about_and_nothing_else() -> None:
    document = json.loads(CliRunner().invoke(main, ["openapi"]).stdout)
    operations = [one for group in groups(document) for one in group.operations]
    assert {one.name for one in operations if one.method == "DELETE"} < QUESTIONS.keys()
    assert {"replayJobs", "pauseQueue", "cancelJob"} < QUESTIONS.keys()
    assert QUESTIONS.keys() < {one.name for one in operations if one.method != "GET"}
