"""What is said of modules of tests by their names is said of modules that are there."""

from __future__ import annotations

from tests.schedule import APART, MODULE_SECONDS, ROOT, SLOW, UNCOUNTED, all_slow, scope


def test_every_module_that_is_named_is_there() -> None:
    assert [
        name for name in (*SLOW, *MODULE_SECONDS, *APART, *UNCOUNTED) if not (ROOT / name.partition("::")[0]).exists()
    ] == []


def test_folders_and_modules_that_are_slow_as_a_whole_are_told() -> None:
    assert all_slow(ROOT / "tests/end_to_end")
    assert all_slow(ROOT / "tests/end_to_end/test_bucket.py")
    assert all_slow(ROOT / "tests/proxy/stores/s3")
    assert not all_slow(ROOT / "tests/proxy/stores")
    assert not all_slow(ROOT / "tests/proxy/stores/file/test_store.py")
    assert not all_slow(ROOT.parent)


def test_the_longest_come_first() -> None:
    assert list(MODULE_SECONDS.values()) == sorted(MODULE_SECONDS.values(), reverse=True)


def test_the_queues_of_a_long_module_run_beside_each_other() -> None:
    module = "tests/machine/test_takedown_moments.py"
    assert scope(f"{module}::test_one[redis-post]") == scope(f"{module}::test_two[redis]") == f"{module}, redis"
    assert scope(f"{module}::test_one[sqlite-post]") != scope(f"{module}::test_one[redis-post]")
    assert scope("tests/end_to_end/test_refusals.py::test_one[redis]") == "tests/end_to_end/test_refusals.py"
