"""What the routes of jobs work with, handed to each as one thing.

Litestar starts a task for each of several dependencies, at every request: a third of what a post of a job cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.derivatives.service import Derivatives
from proxy.jobs.completion import Endings
from proxy.jobs.service import Jobs
from proxy.webhooks.signature import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where orders are taken, how their senders are known, where browsers read what comes of them."""

    jobs: Jobs
    derivatives: Derivatives
    endings: Endings
    verifier: Verifier
    public_base_url: str
