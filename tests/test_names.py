"""Error codes, series and settings have the names of the released version, which clients and operators rely on."""

from __future__ import annotations

import inspect

from prometheus_client.metrics import MetricWrapperBase

import pipeline.errors
import proxy.errors
from proxy import metrics
from proxy.jobs.job import ABANDONED, CANCELLED
from proxy.settings.settings import list_settings

ADDED: frozenset[str] = frozenset(
    {
        "BASE_PATH",
        "CALLBACK_SECRETS",
        "EVENTS_REMOVE",
        "EVENTS_TOKEN",
        "CDN_PURGE",
        "CDN_PURGE_TOKEN",
        "FALLBACK_IMAGE",
        "KEEP_ALIVE_SECONDS",
        "MAX_CONNECTIONS",
        "PROBE_KEY",
        "PUBLIC_ORIGIN",
        "SANDBOX",
        "SERVICE_URL",
        "STREAM_CACHE_MB",
        "UI",
        "UI_PASSWORD",
        "VERSIONED_REDIRECTS",
        "bad-event",
        "bad-token",
        "bad-upload-url",
        "cancelled",
        "cdn-purge-failed",
        "cdn-purge-refused",
        "events_total",
        "cdn_purges_total",
        "http_connections",
        "http_connections_closed_total",
        "job-ended",
        "original-exists",
        "jobs_set_aside_total",
        "permission-missing",
        "queue_deferred",
        "queue_paused",
        "render_sandbox",
        "sns-unreachable",
        "store_paused",
        "unfit-upload",
        "upload-cut-off",
        "upload-too-slow",
        "upload-under-way",
        "upload-url-ended",
        "uploads_total",
        "taken-down",
        "takedown-unfinished",
        "takedowns_total",
    }
)
"""Error codes, series and settings that were added since; a name is never removed or changed."""

ERROR_CODES = """
    abandoned bad-callback bad-cursor bad-key bad-signature busy callback-failed cannot-start corrupt deadline-exceeded
    died-again error gave-up internal needs-too-much-memory no-room not-an-image not-as-before not-found out-of-range
    process-died queue-unavailable refused render-failed store-error store-refused store-unavailable too-large
    too-many-bytes too-many-frames too-many-pixels unknown-job unknown-size unreadable unsupported-format
"""

SERIES = {
    "callbacks_total": ("outcome",),
    "derivatives_total": ("source",),
    "http_request_seconds": ("route",),
    "http_requests_total": ("route", "status"),
    "job_duration_seconds": (),
    "jobs_taken_over_total": (),
    "jobs_total": ("status",),
    "memory_limit_bytes": (),
    "memory_used_bytes": (),
    "queue_depth": (),
    "queue_oldest_seconds": (),
    "queue_outages_total": (),
    "ready": ("part",),
    "refused_total": ("reason",),
    "render_budget_bytes": (),
    "render_process_deaths_total": ("cause",),
    "render_reserved_bytes": (),
    "render_seconds": ("format",),
    "resident_bytes": ("kind",),
    "store_errors_total": ("operation", "kind"),
    "store_seconds": ("operation",),
    "upload_bytes_total": (),
    "workers": (),
    "writes_lost_total": (),
}
"""Name -> names of the labels."""

LABEL_VALUES = {
    "callbacks_total": "delivered given_up gone put_off refused",
    "derivatives_total": "cache render store",
    "jobs_total": "done error",
    "refused_total": "busy corrupt needs-too-much-memory not-an-image too-many-bytes too-many-frames too-many-pixels "
    "unsupported-format",
    "render_process_deaths_total": "cancelled deadline died idle",
    "store_errors_total": "check copy delete fetch head list open put put_new store-refused store-unavailable",
}
"""Name of a counter -> the values of its labels that are exported from the start."""

SETTINGS = """
    ALLOW_UNSIGNED AWS_REGION CACHE_CONTROL CALLBACK_HOSTS CONDITIONAL_WRITES CORS_ORIGINS DELIVERY FORMER_SHADOW_PREFIX
    GRACE_SECONDS HOST JOB_KEEP_DAYS KEY_LAYOUT LOG_FORMAT LOG_LEVEL MAX_PIXELS MAX_UPLOAD_MB MEMORY_BUDGET_MB
    METRICS_PORT ORIGINALS_BASE_URL ORIGINALS_PREFIX PORT PUBLIC_BASE_URL QUEUE QUEUE_SIZE REDIRECT_MAX_AGE
    RENDER_TIMEOUT_SECONDS S3_ACL S3_ADDRESSING S3_BUCKET S3_ENDPOINT_URL SCRATCH_MB SHADOW_PREFIX SIZES_FILE STORE
    TIMING_ALLOW_ORIGIN WAITING WEBHOOK_SECRETS WORKERS
"""


def error_codes() -> set[str]:
    modules = (proxy.errors, pipeline.errors)
    errors = [one for module in modules for _, one in inspect.getmembers(module, inspect.isclass)]
    return {error.code for error in errors if issubclass(error, Exception) and hasattr(error, "code")} | {
        ABANDONED,
        CANCELLED,
    }


def series() -> dict[str, MetricWrapperBase]:
    return {name: one for name, one in vars(metrics).items() if isinstance(one, MetricWrapperBase)}


def test_the_error_codes_are_those_of_the_released_version() -> None:
    assert error_codes() - ADDED == set(ERROR_CODES.split())


def test_the_series_and_their_labels_are_those_of_the_released_version() -> None:
    labels = {name: one._labelnames for name, one in series().items()}  # noqa: SLF001 - the library has no public name
    assert {name: names for name, names in labels.items() if name not in ADDED} == SERIES


def test_the_label_values_are_those_of_the_released_version() -> None:
    for name, released in LABEL_VALUES.items():
        samples = next(iter(series()[name].collect())).samples
        assert set(released.split()) <= {value for sample in samples for value in sample.labels.values()}, name


def test_the_settings_are_those_of_the_released_version() -> None:
    assert {setting.name for setting in list_settings()} - ADDED == set(SETTINGS.split())
