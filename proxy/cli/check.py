"""`gf-images check`: the settings, their contradictions and, on request, whether everything they name can be used."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click
import msgspec

from proxy.app.connect import probe_parts
from proxy.app.wiring import stream_bytes
from proxy.cli.console import REFUSED, env_file_option, exit_without_store, is_default_store, read_settings_or_exit
from proxy.cli.usage import StrictCommand
from proxy.observability.logging import configure_logs
from proxy.rendering.memory_budget import budget_excess
from proxy.settings.contradictions import contradictions
from proxy.settings.folders import missing_store
from proxy.settings.masked import masked_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.app.connect import ProbeResults
    from proxy.settings.settings import Settings


@click.command(cls=StrictCommand)
@click.option("--connect", is_flag=True, help="Also use the store, the queue, the scratch folder and a render process.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
@env_file_option
def check(*, connect: bool, as_json: bool) -> None:
    """Validate and print the settings, with secrets masked.

    Settings that contradict each other are warnings.

    Exit codes: 0, valid; 1, a part does not work (--connect); 2, invalid, with every error listed, or the folder of
    STORE does not exist (--connect).

    Example: PORT=80 gf-images check --connect
    """
    settings = read_settings_or_exit()
    if connect and not is_default_store(settings):
        exit_without_store(settings)
    values = masked_values(settings)
    warnings = _warnings(settings)
    if not connect:
        _show(settings, values, warnings, None, as_json=as_json)
        return
    configure_logs(level="WARNING", form="console")
    with asyncio.Runner() as runner:
        results = runner.run(probe_parts(settings))
        _show(settings, values, warnings, results, as_json=as_json)
        status = REFUSED if any(results.faults.values()) else 0
        if results.is_late:  # the interpreter would wait for its threads
            sys.stdout.flush()
            os._exit(status)
    sys.exit(status)


def _warnings(settings: Settings) -> list[str]:
    warnings = contradictions(settings, os.environ)
    if not is_default_store(settings) and (fault := missing_store(settings.store)):
        warnings.append(f"STORE: {fault}")
    megabytes = settings.memory_budget_mb
    if megabytes and (excess := budget_excess(megabytes, beside_bytes=stream_bytes(settings))):
        warnings.append(excess)
    return warnings


def _show(
    settings: Settings,
    values: Mapping[str, object],
    warnings: list[str],
    results: ProbeResults | None,
    *,
    as_json: bool,
) -> None:
    faults = results.faults if results else {}
    if as_json:
        parts = {"parts": faults, "sandbox": results.sandbox} if results else {}
        click.echo(msgspec.json.encode({**values, "warnings": warnings, **parts}))
        return
    for name, value in values.items():
        click.echo(f"{name}={value}")
    for line in _size_lines(settings):
        click.echo(line)
    for part, fault in faults.items():
        click.echo(f"{part}: {'does not work' if fault else 'works'}")
    if results and results.sandbox:
        click.echo(f"sandbox: {results.sandbox}")
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for fault in filter(None, faults.values()):
        click.echo(fault, err=True)


def _size_lines(settings: Settings) -> Iterator[str]:
    for size in settings.sizes:
        shape = (
            "as large as the original, without metadata" if size.strip_only else f"{size.width} wide, fit {size.fit}"
        )
        yield f"size {size.name}: {shape}"
    for one in settings.where:
        yield f"where {one.prefix}: sizes {', '.join(one.sizes)}; layout {one.layout or settings.key_layout}"
