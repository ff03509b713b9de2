"""Logging to standard error: one JSON line per event, in the same format for our events and the libraries'."""

from __future__ import annotations

import logging
import sys
import threading
from io import StringIO
from typing import TYPE_CHECKING, TextIO

import saq
import structlog

from proxy.queues.worker import RetryLater

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

QUIET = ("httpx", "httpcore", "botocore", "aiobotocore", "uvicorn.access")
"""Loggers of libraries that log every call. Our own code logs requests, with what their callers need to know."""


_TRACES = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Formats tracebacks without the values of variables, which may be secrets."""


def configure_logs(*, level: str, form: str) -> None:
    """Route every log event of this process through structlog; `form` is "json" or "console"."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _without_colours,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a cached logger would keep the settings of its first event
    )
    handler = _StandardError()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*_last_steps(form)]))
    handler.addFilter(_is_news)
    handler.addFilter(_name_jobs)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it logs every attempt; the caller logs the failure
    logging.getLogger("saq").setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_crash
    threading.excepthook = lambda crash: _log_crash(crash.exc_type, crash.exc_value, crash.exc_traceback)


class _StandardError(logging.StreamHandler[TextIO]):
    """A handler that looks up `sys.stderr` for each event, because a progress bar replaces it while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _last_steps(form: str) -> list[Processor]:
    drop_meta: Processor = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if form == "console":
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_traceback)
        console.columns = sorted(console.columns, key=lambda column: column.key != "event")  # the event first
        return [drop_meta, _escape_values, console]
    return [drop_meta, structlog.processors.ExceptionRenderer(_TRACES), structlog.processors.JSONRenderer()]


def _escape_values(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Escape what a terminal would obey in keys, paths and messages.

    JSON escapes it anyway. The renderer for the console escapes it only in values that are not strings.
    """
    return {name: escaped(value) if isinstance(value, str) else value for name, value in event.items()}


def _write_traceback(stream: TextIO, crash: ExcInfo) -> None:
    """Write a traceback without the values of variables, and with its message escaped."""
    text = StringIO()
    structlog.dev.plain_traceback(text, crash)
    stream.write("\n".join(map(escaped, text.getvalue().split("\n"))))


def escaped(text: str) -> str:
    r"""Return `text` with all characters escaped that are not printable, as in `\u202e`.

    These are control characters, such as ESC and line breaks, Unicode's line separators, and marks that change the
    direction of the text, which could forge a line or hide a part of it.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _without_colours(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's, for terminals
    return event


def _is_news(record: logging.LogRecord) -> bool:
    """Return False for SAQ's record about a rescheduled job, which the event `job_retry_scheduled` covers already."""
    return not (record.exc_info and record.exc_info[0] is RetryLater)


def _name_jobs(record: logging.LogRecord) -> bool:
    """Replace jobs in SAQ's records by their keys: a job's text includes `callback_url`, which may hold a secret."""
    if isinstance(record.args, tuple):
        record.args = tuple(one.key if isinstance(one, saq.Job) else one for one in record.args)
    return True


def _log_crash(kind: type[BaseException], crash: BaseException | None, trace: TracebackType | None) -> None:
    """Log an uncaught exception as an event like any other."""
    structlog.get_logger(__name__).critical("crashed", exc_info=(kind, crash, trace))
