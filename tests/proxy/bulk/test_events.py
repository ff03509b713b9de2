"""The text of events."""

from __future__ import annotations

import msgspec

from proxy.bulk.events import summary
from tests.proxy.bulk.runs import ENDED


def test_a_summary_counts_names_and_says_what_to_do_next() -> None:
    assert [*summary(ENDED)] == [
        "Finished: 1 rendered, 2,000 fresh, 3 failed; 1 min 40 s, 20.0/s",
        "Failures: 1 bad-key, 2 corrupt",
        "More originals failed than --max-failures allows.",
        "To retry the failed originals, use --retry-failed var/reprocess/failures.jsonl",
    ]
    nothing = msgspec.structs.replace(ENDED, is_finished=False, rendered=0, fresh=0, failed=0, faults={}, failures="")
    assert [*summary(nothing)] == ["Not finished: no originals; 1 min 40 s", "Run the same command to continue."]
