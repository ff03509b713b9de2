"""The table of metrics."""

from __future__ import annotations

from prometheus_client.metrics import MetricWrapperBase

from proxy import metrics
from tests.documents.reference.tables import code, linked, table


def metrics_table(_: str) -> str:
    """Return every series with its type, its labels and its meaning."""
    rows = (
        [code(name), str(one._type), ", ".join(map(code, one._labelnames)), linked(one._documentation)]  # noqa: SLF001 - the library has no public names
        for name, one in vars(metrics).items()
        if isinstance(one, MetricWrapperBase)
    )
    return table(["series", "type", "labels", "meaning"], rows)
