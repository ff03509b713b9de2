"""The report measures a source tree and fails where a rule is broken; the trees are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.house.__main__ import ROOT, main
from tests.house.house import MOST_MODULES, measure
from tests.house.imports import ImportCycle, import_graph, longest_chain
from tests.house.lengths import spread
from tests.house.minutes import read_test_run
from tests.house.names import Repeated, homonyms, is_family, repeated_classes
from tests.house.report import faults, table
from tests.house.rules import HouseRules, Tools, VultureRules, read_tools
from tests.house.tools import ToolFailed, is_expected, twin_blocks, unused_names
from tests.house.tree import read_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BLOCK = "\n".join(f"    number = number * {factor} + {factor}" for factor in range(2, 14))
"""Twelve lines of a function's body."""


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write modules by their paths, and every package that they lie in; both packages are there even if empty."""
    for name, text in {"proxy/__init__.py": "", "pipeline/__init__.py": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.relative_to(root).parents[:-1]:
            (root / folder / "__init__.py").touch()
        path.write_text(text)
    return root


def graph(root: Path) -> dict[str, set[str]]:
    return {name: imported for name, imported in import_graph(read_tree(root)).items() if imported}


def test_a_module_is_known_by_its_dotted_name_and_its_package(tmp_path: Path) -> None:
    write(tmp_path, {"proxy/stores/base.py": "", "pipeline/size.py": ""})
    tree = {module.name: (module.package, module.is_package) for module in read_tree(tmp_path)}
    assert tree == {
        "pipeline": ("pipeline", True),
        "pipeline.size": ("pipeline", False),
        "proxy": ("proxy", True),
        "proxy.stores": ("proxy.stores", True),
        "proxy.stores.base": ("proxy.stores", False),
    }


def test_a_docstring_does_not_count_as_length_of_a_function(tmp_path: Path) -> None:
    text = (
        'class A:\n    async def f(self):\n        """Two\n        lines."""\n        return 1\n\ndef g():\n    pass\n'
    )
    write(tmp_path, {"proxy/a.py": text})
    lengths = {function.name: function.lines for module in read_tree(tmp_path) for function in module.functions}
    assert lengths == {"f": 2, "g": 2}


def test_the_spread_of_lengths_is_median_nine_tenths_and_longest() -> None:
    lengths = spread([*range(1, 21)])
    assert (lengths.count, lengths.median, lengths.p90, lengths.longest) == (20, 10.5, 19, 20)
    assert spread([]).longest == 0


@pytest.mark.parametrize(
    "statement",
    [
        "import proxy.b.c",
        "from proxy.b import c",
        "from proxy.b.c import Thing",
        "from .b import c",
        "from .b.c import Thing",
        "def late():\n    from proxy.b.c import Thing",
        "if TYPE_CHECKING:\n    from proxy.b.c import Thing",
    ],
)
def test_an_import_leads_to_the_module_however_it_is_written(tmp_path: Path, statement: str) -> None:
    write(tmp_path, {"proxy/a.py": statement, "proxy/b/c.py": "import os\nfrom pathlib import Path"})
    assert graph(tmp_path) == {"proxy.a": {"proxy.b.c"}}


def test_the_longest_chain_of_imports_is_found(tmp_path: Path) -> None:
    write(tmp_path, {"proxy/a.py": "from proxy import b, d", "proxy/b.py": "from proxy import c"})
    write(tmp_path, {"proxy/c.py": "", "proxy/d.py": ""})
    assert longest_chain(import_graph(read_tree(tmp_path))) == ("proxy.a", "proxy.b", "proxy.c")


def test_imports_in_a_circle_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"proxy/a.py": "from proxy import b", "proxy/b.py": "from proxy import a"})
    with pytest.raises(ImportCycle, match=r"proxy\.a > proxy\.b"):
        longest_chain(graph(tmp_path))


def test_a_class_name_that_stands_twice_is_found(tmp_path: Path) -> None:
    write(tmp_path, {"proxy/a.py": "class Run: ...", "pipeline/b.py": "class Run: ...\nclass Walk: ..."})
    assert [*map(str, repeated_classes(read_tree(tmp_path)))] == ["Run: pipeline.b, proxy.a"]


def test_a_file_name_that_stands_twice_is_found_but_for_packages_and_main(tmp_path: Path) -> None:
    paths = "proxy/a.py", "proxy/b/a.py", "proxy/b/__main__.py", "proxy/__main__.py", "proxy/c/d/x.py", "proxy/d/y.py"
    write(tmp_path, dict.fromkeys(paths, ""))
    assert [*map(str, homonyms(read_tree(tmp_path)))] == ["a: proxy.a, proxy.b.a"]


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (("proxy.stores.s3.store", "proxy.stores.file.store"), True),
        (("proxy.bulk.a.command", "proxy.bulk.b.command", "proxy.bulk.c.command"), True),
        (("proxy.bulk.events", "proxy.bulk.compare.comparison_events"), False),
        (("proxy.stores.s3.errors", "proxy.queues.sqlite.errors"), False),
        (("proxy.errors", "pipeline.errors"), False),
    ],
)
def test_a_family_lies_in_sibling_packages_of_one_package(modules: tuple[str, ...], *, expected: bool) -> None:
    assert is_family(Repeated(name="it", modules=modules)) is expected


def test_a_block_that_stands_twice_is_found_with_its_places(tmp_path: Path) -> None:
    one, two = f"def one(number):\n{BLOCK}\n", f"def two(number):\n    pass\n{BLOCK}\n"
    write(tmp_path, {"proxy/a.py": one, "proxy/b.py": two})
    assert twin_blocks(tmp_path) == ["proxy.a 2-13 = proxy.b 3-14"]
    assert twin_blocks(tmp_path, lines=13) == []


def test_a_failure_of_pylint_is_not_taken_for_a_tree_without_twins(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="no-such-option"):
        twin_blocks(tmp_path, ["--no-such-option"])


def test_what_nothing_uses_is_found_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, {"proxy/a.py": "def used(): ...\n\n\ndef unused(): ...\n"})
    write(tmp_path, {"proxy/b.py": "from proxy.a import used\n\nused()\n"})
    assert [*map(str, unused_names(tmp_path))] == ["function unused, proxy/a.py:4"]


def test_a_name_that_a_framework_uses_is_expected_by_its_pattern(tmp_path: Path) -> None:
    (unused,) = unused_names(write(tmp_path, {"proxy/a.py": "def on_start(): ...\n"}))
    assert is_expected(unused, ["on_*"])
    assert not is_expected(unused, ["on"])


def test_layers_and_exceptions_are_read_from_pyproject(tmp_path: Path) -> None:
    assert read_tools(tmp_path) == Tools()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.house]\nhomonyms = ["errors"]\n[tool.vulture]\nignore_names = ["on_*"]\n'
        '[[tool.importlinter.contracts]]\ntype = "layers"\ncontainers = ["proxy"]\nlayers = ["a", "b | c"]\n'
    )
    tools = read_tools(tmp_path)
    assert (tools.layers, tools.house.homonyms, tools.vulture.ignore_names) == ({"proxy": 2}, ["errors"], ["on_*"])


def test_minutes_are_those_of_the_last_test_run(tmp_path: Path) -> None:
    assert read_test_run(tmp_path) is None
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "tests.xml").write_text(
        '<testsuites><testsuite time="90"><testcase classname="tests.a" name="test_b" time="60"/>'
        '<testcase classname="tests.a" name="test_c" time="70.5"/></testsuite></testsuites>'
    )
    run = read_test_run(tmp_path)
    assert run
    assert (run.tests, run.minutes, run.slowest, run.slowest_seconds) == (2, 1.5, "tests.a.test_c", 70.5)


def test_a_tree_in_order_breaks_no_rule(tmp_path: Path) -> None:
    write(tmp_path, {"proxy/a.py": "from pipeline.b import B\n\nB()\n", "pipeline/b.py": "class B: ...\n"})
    house = measure(tmp_path, Tools())
    assert [*faults(house)] == []
    assert house.chain == ("proxy.a", "pipeline.b")


def test_each_broken_rule_is_a_fault_unless_it_is_an_exception(tmp_path: Path) -> None:
    write(tmp_path, {f"proxy/m{number}.py": "" for number in range(MOST_MODULES)})
    write(
        tmp_path, {"proxy/x.py": "class Run: ...\n", "pipeline/x.py": f"class Run: ...\n\n\ndef f(number):\n{BLOCK}\n"}
    )
    write(tmp_path, {"pipeline/y.py": f"def f(number):\n{BLOCK}\n"})
    found = [*faults(measure(tmp_path, Tools()))]
    assert [fault.partition(":")[0] for fault in found[:4]] == [
        "folder with more than 12 modules",
        "class name that stands twice",
        "file name that stands twice",
        "block that stands twice",
    ]
    assert {fault.partition(":")[0] for fault in found[4:]} == {"unused name"}
    allowed = Tools(vulture=VultureRules(["f", "Run"]), house=HouseRules(["x"]))
    assert {*found} - {*faults(measure(tmp_path, allowed))} == {found[2], *found[4:]}


def test_the_table_has_a_column_for_each_checkout(tmp_path: Path) -> None:
    house = measure(write(tmp_path, {}), Tools())
    heading, packages, *_ = table({"before": house, "after": house}).splitlines()
    assert (heading.split(), packages.split()) == (["before", "after"], ["packages", "2", "2"])


def test_the_command_ends_with_1_only_when_it_checks_and_a_rule_is_broken(tmp_path: Path) -> None:
    good = write(tmp_path / "good", {})
    bad = write(tmp_path / "bad", {"proxy/a.py": "def nobody_calls_this(): ...\n"})
    codes = {
        (name, check): CliRunner().invoke(main, ["--root", str(root), *check]).exit_code
        for name, root in (("good", good), ("bad", bad))
        for check in ((), ("--check",))
    }
    assert codes == {("good", ()): 0, ("good", ("--check",)): 0, ("bad", ()): 0, ("bad", ("--check",)): 1}


def test_with_two_checkouts_the_second_is_checked(tmp_path: Path) -> None:
    good = write(tmp_path / "good", {})
    bad = write(tmp_path / "bad", {"proxy/a.py": "def nobody_calls_this(): ...\n"})
    result = CliRunner().invoke(main, ["--check", "--root", str(bad), "--root", str(good)])
    assert result.exit_code == 0, result.output
    assert result.output.split()[:2] == ["before", "after"]


def test_every_exception_of_this_checkout_is_needed() -> None:
    exceptions = read_tools(ROOT)
    unused = unused_names(ROOT)
    assert [
        one for one in exceptions.vulture.ignore_names if not any(is_expected(name, [one]) for name in unused)
    ] == []
    assert {*exceptions.house.homonyms} <= {one.name for one in homonyms(read_tree(ROOT)) if not is_family(one)}
