"""Which tests are slow, which are started first, and which run in one process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler.loadscope import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[1]

SLOW = (
    "tests/benchmarks/page/test_page.py",
    "tests/benchmarks/pipeline/test_quality.py",
    "tests/clients/",
    "tests/config/test_alerts.py",
    "tests/config/test_compose.py",
    "tests/config/test_systemd.py",
    "tests/config/test_workflows.py",
    "tests/documents/site/",
    "tests/documents/test_proxies.py",
    "tests/documents/test_readme_blocks.py",
    "tests/documents/test_tutorials.py",
    "tests/end_to_end/",
    "tests/house/",
    "tests/loadtest/",
    "tests/machine/test_machine.py",
    "tests/machine/test_takedown_moments.py",
    "tests/main_site/",
    "tests/pipeline/compare/",
    "tests/pipeline/decode/test_colours.py",
    "tests/pipeline/decode/test_declared.py",
    "tests/pipeline/decode/test_heif.py",
    "tests/pipeline/decode/test_heif_header.py",
    "tests/pipeline/decode/test_jpeg.py",
    "tests/pipeline/decode/test_memory_model.py",
    "tests/pipeline/decode/test_original.py",
    "tests/pipeline/facts/test_mutants.py",
    "tests/pipeline/image/test_profiles.py",
    "tests/pipeline/image/test_tone.py",
    "tests/pipeline/kernel/test_builds.py",
    "tests/pipeline/kernel/test_corpus.py",
    "tests/pipeline/kernel/test_fuzzer.py",
    "tests/pipeline/kernel/test_reduction.py::test_shapes",
    "tests/pipeline/process/confinement/test_confine.py",
    "tests/pipeline/process/test_compare_server.py",
    "tests/pipeline/process/test_hostile.py",
    "tests/pipeline/process/test_render_server.py",
    "tests/pipeline/render/test_order.py",
    "tests/pipeline/render/test_photographs.py",
    "tests/proxy/app/test_connect.py",
    "tests/proxy/bulk/compare/",
    "tests/proxy/cli/remote/",
    "tests/proxy/cli/test_check.py",
    "tests/proxy/cli/test_info.py",
    "tests/proxy/cli/bulk/",
    "tests/proxy/cli/test_where.py",
    "tests/proxy/derivatives/test_alone.py::test_it",
    "tests/proxy/derivatives/test_changes.py",
    "tests/proxy/derivatives/test_first_size.py",
    "tests/proxy/derivatives/test_store_timeouts.py",
    "tests/proxy/facts/",
    "tests/proxy/http/routes/test_bucket_events.py",
    "tests/proxy/pages/test_in_browser.py",
    "tests/proxy/http/routes/test_callbacks.py",
    "tests/proxy/http/routes/test_facts.py",
    "tests/proxy/http/routes/test_operations.py",
    "tests/proxy/http/routes/test_recalled.py",
    "tests/proxy/http/routes/test_shadow.py",
    "tests/proxy/http/routes/test_signed.py",
    "tests/proxy/http/routes/test_upload.py",
    "tests/proxy/http/test_problems_table.py",
    "tests/proxy/jobs/test_worker.py",
    "tests/proxy/intake/events/sns/test_signing_keys.py",
    "tests/proxy/observability/test_logging.py",
    "tests/proxy/queues/test_processes.py",
    "tests/proxy/queues/test_worker.py",
    "tests/proxy/removal/test_takedowns.py",
    "tests/proxy/removal/cdn/test_cloudfront.py",
    "tests/proxy/removal/cdn/test_purgers.py",
    "tests/proxy/ui/access/test_flood.py",
    "tests/proxy/ui/access/test_guard.py",
    "tests/proxy/ui/test_pages.py",
    "tests/proxy/rendering/test_admitted_memory.py",
    "tests/proxy/rendering/test_answers.py",
    "tests/proxy/rendering/test_facts_answers.py",
    "tests/proxy/rendering/test_memory_budget.py",
    "tests/proxy/rendering/test_pool.py",
    "tests/proxy/stores/file/test_store.py::TestFileStore::test_a_long_list",
    "tests/proxy/stores/s3/",
    "tests/proxy/test_entry.py",
    "tests/proxy/webhooks/test_dispatcher.py",
    "tests/proxy/webhooks/test_facts_in_callbacks.py",
    "tests/test_ci.py",
    "tests/test_distribution.py",
    "tests/test_image.py",
    "tests/test_licences.py",
    "tests/test_old_data.py",
)
"""Folders, modules and tests that start services, or compute for seconds: half a second of a core is much."""

SLOW_FIXTURES = {"moto", "planted", "postgres_server", "redis_server", "weed"}
"""Servers that take seconds to start, and comparisons of whole folders."""

MODULE_SECONDS = {
    "tests/main_site/test_rehearsal.py": 260,
    "tests/end_to_end/test_bad_days.py": 250,
    "tests/machine/test_machine.py": 210,
    "tests/machine/test_takedown_moments.py": 200,
    "tests/pipeline/kernel/test_fuzzer.py": 200,
    "tests/end_to_end/test_killed_machines.py": 170,
    "tests/end_to_end/test_killed_service.py": 160,
    "tests/end_to_end/test_refusals.py": 160,
    "tests/end_to_end/test_queue_outage.py": 145,
    "tests/end_to_end/test_small_machine.py": 135,
    "tests/end_to_end/test_hostile.py": 125,
    "tests/proxy/bulk/compare/test_command.py": 120,
    "tests/loadtest/test_load.py": 115,
    "tests/pipeline/render/test_whole.py": 110,
    "tests/proxy/stores/s3/test_faults.py": 95,
    "tests/end_to_end/test_callbacks.py": 78,
    "tests/end_to_end/test_main_job.py": 75,
    "tests/end_to_end/test_reprocess.py": 75,
    "tests/end_to_end/test_facts.py": 70,
    "tests/end_to_end/test_secrets.py": 60,
    "tests/end_to_end/test_bucket_events.py": 60,
    "tests/proxy/stores/s3/test_store.py": 60,
    "tests/main_site/test_images.py": 55,
    "tests/end_to_end/test_crowds.py": 54,
    "tests/pipeline/render/test_photographs.py": 53,
    "tests/pipeline/decode/test_memory_model.py": 45,
    "tests/end_to_end/test_bucket.py": 40,
    "tests/end_to_end/test_document.py": 40,
    "tests/end_to_end/test_prometheus.py": 40,
    "tests/end_to_end/test_removals.py": 40,
    "tests/end_to_end/test_uploads.py": 40,
    "tests/proxy/webhooks/test_dispatcher.py": 35,
    "tests/end_to_end/test_sandbox.py": 30,
    "tests/proxy/jobs/test_worker.py": 30,
    "tests/proxy/queues/test_server_queue.py": 30,
    "tests/proxy/queues/test_worker.py": 30,
}
"""How long the longest modules take, about, on two cores; a module that is not named is begun after them."""

UNCOUNTED = (
    "tests/benchmarks/",
    "tests/clients/",
    "tests/documents/",
    "tests/end_to_end/",
    "tests/loadtest/",
    "tests/machine/",
    "tests/main_site/",
    "tests/proxy/bulk/compare/",
    "tests/proxy/http/protocol/test_middleware.py::test_ten_thousand_random_keys",
)
"""Folders, and a test, that use the whole service, mostly in other processes, or repeat the same ten thousand times."""

APART = ("tests/machine/test_machine.py", "tests/machine/test_takedown_moments.py")
"""Modules whose tests of one queue run beside those of another."""

QUEUE = re.compile(r"\[(sqlite|redis|postgres)\b")
"""The parameter of a test that is its queue."""


def all_slow(path: Path) -> bool:
    """Return whether all tests of a folder or module are slow."""
    return path.is_relative_to(ROOT) and f"{path.relative_to(ROOT)}{'/' * path.is_dir()}".startswith(SLOW)


def is_slow(item: pytest.Item) -> bool:
    """Return whether a test is left to the whole run: by where it is, or by what it needs."""
    fixtures = set(getattr(item, "fixturenames", ()))
    return (
        item.nodeid.startswith(SLOW)
        or bool(fixtures & SLOW_FIXTURES)
        or next(item.iter_markers("needs"), None) is not None
    )


def is_uncounted(item: pytest.Item) -> bool:
    """Return whether a test is left out of the coverage, which would double what it costs and add nothing to it."""
    return item.nodeid.startswith(UNCOUNTED)


def expected_seconds(item: pytest.Item) -> int:
    """Return about how long the module of a test takes."""
    return MODULE_SECONDS.get(_module(item.nodeid), 0)


class ByModule(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Share out whole modules, or the queues of long ones, in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """Return what a test shares a process with: its module, or of a long one the tests of the same queue."""
    queue = QUEUE.search(nodeid)
    return f"{_module(nodeid)}, {queue[1]}" if queue and nodeid.startswith(APART) else _module(nodeid)


def _module(nodeid: str) -> str:
    return nodeid.partition("::")[0]
