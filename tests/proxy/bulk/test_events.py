"""The text of events."""

from __future__ import annotations

import msgspec

from proxy.bulk.events import summary
from tests.proxy.bulk.runs import ENDED


def test_a_summary_counts_names_and_says_what_to_do_next() -> None:
    assert [*summary(ENDED)] == [
        "finished: 1 rendered, 2,000 fresh, 3 failed; 1 min 40 s, 20.0/s",
        "failed for: bad-key 1, corrupt 2",
        "more failed than --max-failures allows",
        "try them again: --retry-failed var/reprocess/failures.jsonl",
    ]
    nothing = msgspec.structs.replace(ENDED, is_finished=False, rendered=0, fresh=0, failed=0, faults={}, failures="")
    assert [*summary(nothing)] == ["not finished: no originals; 1 min 40 s", "the same command goes on from here"]
