"""The dependencies of the job routes, in one object.

For several dependencies Litestar starts one task each, on every request: that was a third of the cost of posting a job.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.jobs.control import JobControl
from proxy.jobs.service import JobService
from proxy.webhooks.signature import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class JobApi:
    """The job service, what operators may do to its jobs, and the verifier of signed requests."""

    jobs: JobService
    control: JobControl
    verifier: Verifier
    base_path: str = ""
    """The part of every path that a proxy before this service strips."""
