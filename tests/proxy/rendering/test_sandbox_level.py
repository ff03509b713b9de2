"""What confines render processes is exported, put into words, and required if an operator says so."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from pipeline.protocol import InForce, SandboxLevel
from proxy.errors import CannotStart
from proxy.rendering.sandbox_level import check_sandbox, describe_sandbox

ALL = InForce(landlock=7, seccomp=True)
NO_LANDLOCK = InForce(seccomp=True, missing=("Landlock is not in force: it is disabled in this kernel (EOPNOTSUPP).",))


@pytest.mark.parametrize(
    ("in_force", "words"),
    [
        (ALL, "Landlock (ABI 7), seccomp"),
        (NO_LANDLOCK, "seccomp"),
        (InForce(landlock=1), "Landlock (ABI 1)"),
        (InForce(), "none"),
    ],
)
def test_what_is_in_force_is_put_into_words(in_force: InForce, words: str) -> None:
    assert describe_sandbox(in_force) == words


@pytest.mark.parametrize("level", ["best", "off"])
def test_what_is_in_force_is_exported(level: SandboxLevel) -> None:
    check_sandbox(level, ALL)
    values = [REGISTRY.get_sample_value("render_sandbox", {"part": part}) for part in ("landlock", "seccomp")]
    assert values == [7, 1]
    check_sandbox(level, InForce())
    values = [REGISTRY.get_sample_value("render_sandbox", {"part": part}) for part in ("landlock", "seccomp")]
    assert values == [0, 0]


def test_a_required_part_that_is_missing_is_named_with_its_reason_and_the_remedy() -> None:
    check_sandbox("require", ALL)
    with pytest.raises(CannotStart) as refused:
        check_sandbox("require", NO_LANDLOCK)
    assert str(refused.value) == (
        "SANDBOX: is require, but Landlock is not in force: it is disabled in this kernel (EOPNOTSUPP). Set "
        "SANDBOX=best to render without it, or use a kernel and a container that allow it: SECURITY.md lists them."
    )
