"""Every series that the service exports; each is observed where the thing happens."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RENDER_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60)
"""Seconds. A 12-megapixel JPEG takes about 0.2 s, AVIF several; the deadline ends the scale."""

JOB_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
"""Seconds from the order to the end, waits and retries included."""

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds. A redirect from memory takes below 1 ms, one that renders about a second."""

jobs_total = Counter("jobs_total", "Jobs that ended, by status", ["status"])
queue_depth = Gauge("queue_depth", "Jobs that wait")
queue_oldest_seconds = Gauge("queue_oldest_seconds", "How long the oldest waiting job has waited")
queue_outages_total = Counter("queue_outages_total", "Times that workers lost their queue")
jobs_taken_over_total = Counter("jobs_taken_over_total", "Jobs taken from workers that went silent")
job_duration_seconds = Histogram("job_duration_seconds", "From a job's order to its end", buckets=JOB_BUCKETS)
callbacks_total = Counter("callbacks_total", "Attempts to deliver a callback, by what came of them", ["outcome"])
upload_bytes_total = Counter("upload_bytes_total", "Bytes of derivatives written to the store")
writes_lost_total = Counter("writes_lost_total", "Conditional writes that another machine had made first")
derivatives_total = Counter("derivatives_total", "Derivatives located for page views, by where they were", ["source"])
render_seconds = Histogram(
    "render_seconds", "One original rendered, all sizes, by its format", ["format"], buckets=RENDER_BUCKETS
)
render_budget_bytes = Gauge("render_budget_bytes", "Memory that all renders together may use")
render_reserved_bytes = Gauge("render_reserved_bytes", "What of it renders and idle render processes have now")
render_process_deaths_total = Counter("render_process_deaths_total", "Render processes that ended early", ["cause"])
store_seconds = Histogram("store_seconds", "Calls of the store", ["operation"], buckets=REQUEST_BUCKETS)
store_errors_total = Counter("store_errors_total", "Calls of the store that failed", ["operation", "kind"])
refused_total = Counter("refused_total", "Originals and requests refused, by reason", ["reason"])
http_requests_total = Counter("http_requests_total", "Requests answered", ["route", "status"])
http_request_seconds = Histogram("http_request_seconds", "Requests, by route", ["route"], buckets=REQUEST_BUCKETS)
