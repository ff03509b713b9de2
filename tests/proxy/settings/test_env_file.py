"""Settings in a file: read as they are written, and added without replacing those of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.settings.env_file import add_variables, read_env_file, set_variable
from proxy.settings.sizes import BadSettings

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_are_settings_and_comments(tmp_path: Path) -> None:
    path = write(
        tmp_path, "# a comment\n\nPORT=8081\nexport HOST = ::1\nCACHE_CONTROL='public, max-age=1' # why\nEMPTY=\n"
    )
    assert read_env_file(path) == {
        "PORT": "8081",
        "HOST": "::1",
        "CACHE_CONTROL": "public, max-age=1",
        "EMPTY": "",
    }


def test_a_dollar_is_a_dollar(tmp_path: Path) -> None:
    path = write(tmp_path, "QUEUE=redis://:pa$HOME${PATH}@host\n")
    assert read_env_file(path) == {"QUEUE": "redis://:pa$HOME${PATH}@host"}


def test_every_wrong_line_is_named_without_its_value(tmp_path: Path) -> None:
    path = write(tmp_path, "PORT=1\nsesame\n'=sesame\nPORT=sesame\n")
    with pytest.raises(BadSettings) as caught:
        read_env_file(path)
    assert [*caught.value.faults] == [
        f"{path}, line 2: must be NAME=value, or begin with #. Correct it.",
        f"{path}, line 3: must be NAME=value, or begin with #. Correct it.",
        f"{path}, line 4: sets PORT again, after line 1. Remove one of them.",
    ]


@pytest.mark.parametrize(("name", "reason"), [("absent", "No such file"), ("folder", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadSettings) as caught:
        read_env_file(tmp_path / name)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{tmp_path / name} cannot be read ({reason}")
    assert "gf-images init" in fault


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\n")
    with pytest.raises(BadSettings, match="not UTF-8"):
        read_env_file(tmp_path / ".env")


def test_the_environment_has_priority_in_both_of_its_forms() -> None:
    environment = {"PORT": "1", "WEBHOOK_SECRETS_FILE": "/run/secret"}
    add_variables(environment, {"PORT": "2", "PORT_FILE": "x", "WEBHOOK_SECRETS": "y", "HOST": "::1"})
    assert environment == {"PORT": "1", "WEBHOOK_SECRETS_FILE": "/run/secret", "HOST": "::1"}


def test_an_option_has_priority_over_a_file_with_the_value() -> None:
    environment = {"PORT_FILE": "/run/port"}
    set_variable(environment, "PORT", "1")
    assert environment == {"PORT": "1"}
