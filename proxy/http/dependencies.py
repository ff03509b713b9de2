"""What the routes of jobs work with, handed to each as one thing.

Litestar starts a task for each of several dependencies, at every request: a third of what a post of a job cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.derivatives.service import DerivativeService
from proxy.jobs.completion import Completion
from proxy.jobs.service import JobService
from proxy.webhooks.signature import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDependencies:
    """Where orders are taken, how their senders are known, where browsers read what comes of them."""

    jobs: JobService
    derivatives: DerivativeService
    completion: Completion
    verifier: Verifier
    public_base_url: str
