"""How much of a sandbox render processes must have, and what they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy import metrics
from proxy.errors import CannotStart

if TYPE_CHECKING:
    from pipeline.protocol import InForce, SandboxLevel

_ADVICE: Final = (
    "Set SANDBOX=best to render without it, or use a kernel and a container that allow it: SECURITY.md lists them."
)


def check_sandbox(level: SandboxLevel, in_force: InForce) -> None:
    """Export what is in force.

    Raises:
        CannotStart: all of it is required, but a part is missing.
    """
    metrics.render_sandbox.labels("landlock").set(in_force.landlock)
    metrics.render_sandbox.labels("seccomp").set(in_force.seccomp)
    if level == "require" and not (in_force.landlock and in_force.seccomp):
        raise CannotStart(f"SANDBOX: is require, but {' '.join(in_force.missing)} {_ADVICE}")


def describe_sandbox(in_force: InForce) -> str:
    """Return what is in force, in words: `Landlock (ABI 7), seccomp`, or `none`."""
    landlock = f"Landlock (ABI {in_force.landlock})" if in_force.landlock else ""
    return ", ".join(filter(None, (landlock, "seccomp" if in_force.seccomp else ""))) or "none"
