"""All metrics that the service exports; each is recorded by the code that it measures."""

from __future__ import annotations

from itertools import product

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from pipeline.errors import BY_CODE
from proxy.errors import Busy, StoreRefused, StoreUnavailable, TooManyBytes

disable_created_metrics()  # type: ignore[no-untyped-call] # an unused second series for each counter

RENDER_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60)
"""Buckets in seconds.

A photograph of 12 megapixels takes 0.1 to 0.3 s on a dedicated core, several times that on a shared one, and seconds
as AVIF. 0.25 s is the benchmark's limit for a small image. The last bucket is the deadline.
"""

JOB_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
"""Buckets in seconds, from the request for a job to its end, including waits.

A job takes half a second on an empty queue and half a minute behind a full one. It takes a minute if the original is
uploaded after its webhook, and half an hour during a provider's outage.
"""

REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets in seconds.

A redirect from memory takes 0.3 ms, with a target of 10 ms. A job is accepted within 50 ms. A page view that renders
takes about a second, and at most the wait in the queue plus the deadline.
"""

STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Buckets in seconds.

A folder responds in 0.2 ms and writes in 10 ms. A bucket responds in 10 to 50 ms and stores a derivative in 50 to
300 ms. Calls that take seconds were retried.
"""

jobs_total = Counter("jobs_total", "Jobs that ended, by status", ["status"])
queue_depth = Gauge("queue_depth", "Waiting jobs; NaN while the queue cannot be read")
queue_oldest_seconds = Gauge("queue_oldest_seconds", "Age of the oldest waiting job")
queue_deferred = Gauge(
    "queue_deferred",
    "Jobs that wait for a retry after an unexpected error, and takedowns, outside of QUEUE_SIZE; NaN as queue_depth",
)
queue_paused = Gauge("queue_paused", "Whether the queue is paused: 1 or 0; NaN while the queue cannot be read")
queue_outages_total = Counter("queue_outages_total", "Queue outages that workers detected")
workers = Gauge("workers", "Maximum number of jobs that this process runs concurrently")
jobs_taken_over_total = Counter("jobs_taken_over_total", "Jobs taken over from workers that sent no heartbeat")
jobs_set_aside_total = Counter("jobs_set_aside_total", "Stored jobs that could not be read, by queue", ["queue"])
job_duration_seconds = Histogram("job_duration_seconds", "Time from queueing a job to its end", buckets=JOB_BUCKETS)
callbacks_total = Counter("callbacks_total", "Attempts to deliver a callback, by outcome", ["outcome"])
takedowns_total = Counter("takedowns_total", "Takedowns that ended, by status", ["status"])
cdn_purges_total = Counter("cdn_purges_total", "Purges of the CDN's copies of a picture, by outcome", ["outcome"])
upload_bytes_total = Counter("upload_bytes_total", "Bytes of derivatives written to the store")
events_total = Counter("events_total", "Events of the bucket, by outcome", ["outcome"])
writes_lost_total = Counter(
    "writes_lost_total", "Conditional writes that were skipped, because another machine wrote first"
)
derivatives_total = Counter(
    "derivatives_total", "Derivatives of page views, by source: the cache, the store or a render", ["source"]
)
render_seconds = Histogram(
    "render_seconds", "Time to render one original in all sizes, by its format", ["format"], buckets=RENDER_BUCKETS
)
render_budget_bytes = Gauge("render_budget_bytes", "Memory that all renders together may use")
render_reserved_bytes = Gauge(
    "render_reserved_bytes", "Part of this memory that renders have reserved, or that the idle fork server holds"
)
render_sandbox = Gauge(
    "render_sandbox",
    "Sandbox in force for renders: the ABI of `landlock`, 1 for `seccomp`; 0 if a part is not in force",
    ["part"],
)
render_process_deaths_total = Counter(
    "render_process_deaths_total", "Render processes that died or were killed, by cause", ["cause"]
)
uploads_total = Counter("uploads_total", "Uploads of originals to upload URLs, by outcome", ["outcome"])
store_seconds = Histogram(
    "store_seconds", "Duration of store calls, by operation", ["operation"], buckets=STORE_BUCKETS
)
store_errors_total = Counter(
    "store_errors_total", "Failed store calls, by operation and kind of error", ["operation", "kind"]
)
store_paused = Gauge("store_paused", "Whether jobs wait because the store refuses everything: 1 or 0")
refused_total = Counter("refused_total", "Originals and requests refused, by reason", ["reason"])
http_requests_total = Counter("http_requests_total", "HTTP requests, by route and status", ["route", "status"])
http_connections = Gauge("http_connections", "Open HTTP connections")
http_connections_closed_total = Counter(
    "http_connections_closed_total", "HTTP connections that the server closed or refused, by reason", ["reason"]
)
http_request_seconds = Histogram(
    "http_request_seconds", "Duration of HTTP requests, by route", ["route"], buckets=REQUEST_BUCKETS
)
ready = Gauge("ready", "Whether a component passed its last readiness check: 1 or 0", ["part"])
resident_bytes = Gauge(
    "resident_bytes", "Resident memory of this process (web) and of its render processes together (render)", ["kind"]
)
memory_used_bytes = Gauge("memory_used_bytes", "Memory in use, in the control group or on the machine")
memory_limit_bytes = Gauge("memory_limit_bytes", "Memory limit of the control group, or the memory of the machine")

_REASONS = tuple(error.code for error in BY_CODE.values() if not error.__subclasses__())
_OPERATIONS = ("head", "fetch", "open", "put", "put_new", "copy", "delete", "check")

_KNOWN: dict[Counter, tuple[tuple[str, ...], ...]] = {
    jobs_total: (("done", "error", "cancelled"),),
    takedowns_total: (("done", "error", "cancelled"),),
    jobs_set_aside_total: (("derivatives", "callbacks"),),
    callbacks_total: (("delivered", "put_off", "gone", "given_up", "refused"),),
    events_total: (
        (
            "queued",
            "fresh",
            "purged",
            "kept",
            "missing",
            "taken-down",
            "own",
            "no-original",
            "other-bucket",
            "other-change",
        ),
    ),
    cdn_purges_total: (("done", "failed", "refused"),),
    derivatives_total: (("cache", "store", "render"),),
    uploads_total: (("stored", "refused", "cut-off", "failed"),),
    render_process_deaths_total: (("died", "deadline", "cancelled", "idle"),),
    store_errors_total: ((*_OPERATIONS, "list"), (StoreUnavailable.code, StoreRefused.code)),
    refused_total: ((*_REASONS, TooManyBytes.code, Busy.code),),
    http_connections_closed_total: (
        (
            "idle",
            "head-timeout",
            "body-timeout",
            "too-many-connections",
            "too-many-bytes",
            "head-too-large",
            "address-too-long",
            "bad-address",
            "unknown-method",
            "malformed-request",
            "several-hosts",
            "transfer-encoding",
        ),
    ),
}
"""The label values of counters that rarely increase.

Prometheus sees no increase if a counter first appears with its first event, so these are exported from the start.
"""


def _begin_at_zero() -> None:
    for counter, values in _KNOWN.items():
        for labels in product(*values):
            counter.labels(*labels)


_begin_at_zero()
