"""Tests of the `[[where]]` tables of a sizes file: what they mean, and what is refused at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.app.key_layouts import live_layout, originals_prefixes
from proxy.keys.where import Where
from proxy.settings.settings import read_settings
from proxy.settings.sizes import BadSettings, read_sizes, read_sizes_file

CONFIG = Path(__file__).parents[3] / "config"
SIZES = "[sizes.small]\nwidth = 3\n[sizes.large]\nwidth = 30\n"


@pytest.fixture
def sizes_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "sizes.toml"
    monkeypatch.setenv("SIZES_FILE", str(path))
    return path


def faults(sizes_file: Path, tables: str) -> list[str]:
    sizes_file.write_text(SIZES + tables)
    with pytest.raises(BadSettings) as refused:
        read_settings()
    return [fault.removeprefix("SIZES_FILE: ") for fault in refused.value.faults]


def test_a_table_without_sizes_has_all_and_without_a_layout_that_of_all_others(sizes_file: Path) -> None:
    sizes_file.write_text(
        SIZES + '[[where]]\nprefix = "keys/"\nsizes = ["large"]\n[[where]]\nprefix = "art/"\nlayout = "prefix"\n'
    )
    assert read_sizes_file(sizes_file).where == (
        Where(prefix="keys/", sizes=("large",)),
        Where(prefix="art/", sizes=("small", "large"), layout="prefix"),
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('prefix = "keys/"\nsizes = ["huge"]', "where keys/: sizes: unknown size huge; the sizes are small, large"),
        (
            'prefix = "keys/"\nsizes = []',
            "where keys/: sizes is empty; name at least one size, or remove the line if all of them exist",
        ),
        ('prefix = "keys/"\nsizes = "large"', 'where keys/: sizes must be a list of names, such as sizes = ["medium"'),
        ('prefix = "keys/"\nsizes = [3]', "where keys/: sizes must be a list of names"),
        ('prefix = "keys/"', "where keys/: changes nothing; set sizes, layout or both"),
        ('sizes = ["large"]', "where table 1: prefix is missing; set it to how the keys begin"),
        ('prefix = ""\nsizes = ["large"]', "where table 1: prefix is missing"),
        ('prefix = 3\nsizes = ["large"]', "where table 1: prefix is missing"),
        ('prefix = "keys"\nsizes = ["large"]', "where keys: prefix must end with /, such as keys/"),
        ('prefix = "/keys/"\nsizes = ["large"]', "where /keys/: no key begins with this prefix: The key '/keys'"),
        ('prefix = "a/../b/"\nsizes = ["large"]', "where a/../b/: no key begins with this prefix"),
        ('prefix = "derivatives/"\nsizes = ["large"]', "no original lies there: derivatives/ is where the service"),
        ('prefix = "replaced/a/"\nsizes = ["large"]', "no original lies there: replaced/ is where the service"),
        ('prefix = "keys/"\nlayout = "flat"', "where keys/: layout 'flat' must be one of site, prefix"),
        ('prefix = "keys/"\nsize = ["large"]', "unknown setting size; the settings are prefix, sizes, layout"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_what_to_do(sizes_file: Path, table: str, sentence: str) -> None:
    (fault,) = faults(sizes_file, f"[[where]]\n{table}\n")
    assert sentence in fault


def test_every_fault_of_every_table_is_named_at_once(sizes_file: Path) -> None:
    table = '[[where]]\nprefix = "keys/"\nsizes = ["large"]\n'
    bad = '[[where]]\nprefix = "art"\nsizes = []\nlayout = "x"\n'
    told = faults(sizes_file, f"[sizes.wide]\nwidth = 0\n{table}{bad}{table}")
    assert [fault.partition(":")[0] for fault in told] == ["sizes.wide", "where art", "where keys/"]
    assert told[1].count(";") >= 3
    assert "another table has the prefix keys/; make one table of both" in told[2]


@pytest.mark.parametrize("where", ["where = 3\n", "where = [3]\n", '[where]\nprefix = "keys/"\n'])
def test_what_is_no_table_is_refused(sizes_file: Path, where: str) -> None:
    sizes_file.write_text(where + SIZES)
    with pytest.raises(BadSettings, match=r"\[\[where\]\]"):
        read_sizes_file(sizes_file)


def test_a_prefix_below_the_shadow_is_refused(sizes_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOW_PREFIX", "shadow/")
    (fault,) = faults(sizes_file, '[[where]]\nprefix = "shadow/keys/"\nsizes = ["large"]\n')
    assert fault == "where shadow/keys/: no original lies below SHADOW_PREFIX=shadow/; change one"


def test_no_originals_lie_where_a_layout_of_a_prefix_stores_derivatives(
    sizes_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORIGINALS_PREFIX", "gall/,derivatives/x/")
    sizes_file.write_text(SIZES)
    assert read_settings().where == ()
    sizes_file.write_text(SIZES + '[[where]]\nprefix = "articles/"\nlayout = "prefix"\n')
    with pytest.raises(BadSettings, match="ORIGINALS_PREFIX: must not start with derivatives/"):
        read_settings()


def test_originals_may_lie_under_several_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIGINALS_PREFIX", "keys/, gall/,gall/58/")
    assert originals_prefixes(read_settings()) == ("gall/", "keys/")
    monkeypatch.setenv("ORIGINALS_PREFIX", "")
    assert originals_prefixes(read_settings()) == ("",)


@pytest.mark.parametrize(("prefixes", "root"), [("", ""), ("preview/", "preview/"), ("gall/,keys/,articles/", "")])
def test_the_file_of_the_gall_site_serves_each_of_its_machines(
    monkeypatch: pytest.MonkeyPatch, prefixes: str, root: str
) -> None:
    monkeypatch.setenv("ORIGINALS_PREFIX", prefixes)
    monkeypatch.setenv("SIZES_FILE", str(CONFIG / "sizes-gallformers.toml"))
    settings = read_settings()
    assert settings.sizes == read_sizes(CONFIG / "sizes.toml")
    layout = live_layout(settings)
    assert layout.sizes_of(f"{root}gall/58/58_1_original.jpg") == ("small", "medium", "large", "xlarge")
    assert layout.sizes_of(f"{root}keys/5/1_u_original.png") == ("medium", "large")
    assert layout.derivative(f"{root}keys/5/1_u_original.png", "large") == f"{root}keys/5/1_u_large.png"
    article = f"{root}articles/5/1.jpg"
    assert layout.derivative(article, "medium") == f"derivatives/{article}/medium.jpg"
