"""What the routes of jobs are given, as one dependency.

Litestar starts a task for each of several dependencies, at every request: a third of what a post of a job cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.jobs.service import JobService
from proxy.webhooks.signature import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class JobApi:
    """The jobs, and who may order them."""

    jobs: JobService
    verifier: Verifier
