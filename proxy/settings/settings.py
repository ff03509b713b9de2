"""All settings, read once from the environment; all faults are reported together."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from environs import EnvValidationError, FileAwareEnv
from marshmallow import ValidationError

from pipeline.size import Size  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.keys.layouts import DERIVATIVES
from proxy.settings import validators
from proxy.settings.folders import queue_in_store, temporary_in_store
from proxy.settings.sizes import SIZES_FILE, BadSettings, read_sizes
from proxy.settings.validators import bucket_fault, endpoint_fault, public_fault, split, store_fault, web_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


ADDRESSING = ("auto", "path", "virtual")


def _setting(
    default: T, description: str, check: Callable[[T], str | None] | None = None, *, secret: bool = False
) -> T:
    metadata = {"says": description, "check": check, "secret": secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the service. Each is read from the environment variable of its name in capitals.

    `<NAME>_FILE` names a file that contains the value instead, as secrets are mounted into containers. `sizes` is
    read from the file that `sizes_file` names.
    """

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8080, "port to listen on", validators.between(1, 65535))
    metrics_port: int = _setting(9091, "port for Prometheus; 0 for none", validators.between(0, 65535))
    store: str = _setting(
        "file://var/store",
        "where originals and derivatives lie: `file://<folder>` or `s3://<bucket>`",
        store_fault,
    )
    s3_bucket: str = _setting("", "short for `STORE=s3://<bucket>`", bucket_fault)
    public_base_url: str = _setting(
        "/files", "where browsers read the store; redirects go to `<it>/<key>`", public_fault
    )
    originals_base_url: str = _setting(
        "", "read the bucket there, over HTTP, with credentials that can only write", web_fault
    )
    s3_endpoint_url: str = _setting("", "the endpoint of a bucket that is not Amazon's", endpoint_fault)
    s3_addressing: str = _setting(
        "auto", "how a bucket is named: `path` or `virtual` host", validators.one_of(*ADDRESSING)
    )
    s3_acl: str = _setting("public-read", "sent with each derivative; empty for buckets that take none")
    conditional_writes: bool = _setting(
        default=False, description="page views write only where nothing is yet: one visible write when machines race"
    )
    aws_region: str = _setting("", "the bucket's region")
    queue: str = _setting(
        "sqlite:///var/queue.db",
        "where jobs wait: `sqlite:///<file>`, `redis[s]://…` or `postgresql://…`",
        validators.queue,
    )
    queue_size: int = _setting(64, "how many jobs may wait", validators.between(1, 100_000))
    workers: int = _setting(
        2, "how many jobs, and how many renders, run at once; 0: jobs run on other machines", validators.between(0, 64)
    )
    waiting: int = _setting(32, "how many page views may stand in line for a render", validators.between(0, 10_000))
    webhook_secrets: str = _setting(
        "", "secrets that sign jobs, `whsec_<base64>`, by comma", validators.secrets, secret=True
    )
    allow_unsigned: bool = _setting(default=False, description="take unsigned jobs although the address is public")
    callback_hosts: str = _setting(
        "", "where callbacks may go, by comma; see [Callbacks](#callbacks)", validators.hosts
    )
    sizes_file: str = _setting(SIZES_FILE, "the named sizes")
    key_layout: str = _setting(
        "site",
        "`site`: `…_original.jpg` to `…_small.jpg`; `prefix`: `derivatives/<key>/<size>`",
        validators.one_of("site", "prefix"),
    )
    originals_prefix: str = _setting("", "originals' keys begin with this")
    shadow_prefix: str = _setting(
        "",
        "derivatives lie below this, such as `shadow/`, no live one is touched; see docs/cutover.md",
        validators.prefix,
    )
    former_shadow_prefix: str = _setting(
        "shadow/",
        "where derivatives are left of a `SHADOW_PREFIX` that was: a purge removes them too",
        validators.prefix,
    )
    memory_budget_mb: int = _setting(
        0,
        "memory of all renders together, in MiB; 0: what the machine has beside the service",
        validators.zero_or(64, 10**7),
    )
    scratch_mb: int = _setting(
        0, "room for originals being worked on, in MiB; 0: half of what is free in TMPDIR", validators.zero_or(1, 10**7)
    )
    max_upload_mb: int = _setting(30, "largest original, in MiB", validators.between(1, 1024))
    max_pixels: int = _setting(
        100_000_000, "most pixels of an original, of one frame if it moves", validators.between(1, 10**10)
    )
    render_timeout_seconds: float = _setting(
        60.0, "longest that rendering one original may take", validators.between(1, 3600)
    )
    delivery: str = _setting(
        "redirect",
        "what a page view gets: a `redirect` to where browsers read the store, or a `stream` of the bytes",
        validators.one_of("redirect", "stream"),
    )
    cache_control: str = _setting("public, max-age=86400", "kept with each derivative and sent by the store")
    redirect_max_age: int = _setting(
        300, "seconds that browsers may keep a redirect", validators.between(0, 31_536_000)
    )
    cors_origins: str = _setting("", "origins that scripts may call from, by comma; `*` for any")
    timing_allow_origin: str = _setting("", "origins that may read Server-Timing")
    job_keep_days: float = _setting(7.0, "how long ended jobs are kept", validators.between(0.001, 365))
    max_connections: int = _setting(
        0, "HTTP connections at once; 0: 1,024, or the open-file limit less 64", validators.between(0, 1_000_000)
    )
    keep_alive_seconds: float = _setting(
        75.0,
        "how long an idle HTTP connection is kept; longer than your load balancer keeps it",
        validators.between(1, 3600),
    )
    grace_seconds: float = _setting(25.0, "how long running work may go on after SIGTERM", validators.between(0, 3600))
    log_level: str = _setting(
        "INFO", "least level that is logged", validators.one_of("DEBUG", "INFO", "WARNING", "ERROR")
    )
    log_format: str = _setting("json", "`json`, or `console` for people", validators.one_of("json", "console"))
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The documentation of one setting: the variable's name, its default and its description."""

    name: str
    default: object
    description: str
    is_secret: bool


def read_settings(*, accepts_jobs: bool = True) -> Settings:
    """Return the settings from the environment.

    On a public address, a program that accepts jobs needs a secret or `ALLOW_UNSIGNED`; pass `accepts_jobs=False` for
    programs that accept none.

    Raises:
        BadSettings: settings are invalid; the error lists every fault.
    """
    env = FileAwareEnv(eager=False, strip_whitespace=True)
    faults: list[str] = []
    told = {setting.name: _read(env, setting, faults) for setting in fields(Settings) if setting.metadata}
    faults += _faults(env)
    sizes: tuple[Size, ...] = ()
    try:
        sizes = read_sizes(Path(str(told["sizes_file"]))) if told["sizes_file"] is not None else ()
    except BadSettings as bad:
        faults += [f"SIZES_FILE: {fault}" for fault in bad.faults]
    if (bucket := told["s3_bucket"]) and not {"STORE", "STORE_FILE"} & set(os.environ):
        told["store"] = f"s3://{bucket}"
    good = {name: value for name, value in told.items() if value is not None}
    settings = msgspec.convert({**good, "sizes": sizes}, Settings)
    named = {fault.partition(":")[0].removesuffix("_FILE") for fault in faults}
    posting = (_public_and_unsigned,) if accepts_jobs else ()
    rules = (*posting, _unsigned_callbacks, _prefixes, _bucket, _scratch, queue_in_store, temporary_in_store)
    cross_faults = [fault for rule in rules if (fault := rule(settings))]
    faults += [fault for fault in cross_faults if fault.partition(":")[0] not in named]
    if faults:
        raise BadSettings(faults)
    return settings


def list_settings() -> list[Setting]:
    """Return all settings with their descriptions, for README's table and `gf-images check`."""
    return [
        Setting(
            name=setting.name.upper(),
            default=setting.default,
            description=setting.metadata["says"],
            is_secret=setting.metadata["secret"],
        )
        for setting in fields(Settings)
        if setting.metadata
    ]


def _read(env: FileAwareEnv, setting: Field[object], faults: list[str]) -> object:
    """Return the value of one setting; `env` collects faults of values, `faults` those of files."""
    parsers: dict[type, Callable[..., object]] = {bool: env.bool, int: env.int, float: env.float, str: env.str}
    name = setting.name.upper()
    try:
        return parsers[type(setting.default)](name, setting.default, validate=_validator(setting.metadata["check"]))
    except (OSError, ValueError):  # the library raises these at once, despite `eager=False`
        faults.append(f"{name}_FILE: must name a file that can be read, of UTF-8 text")
        return None


def _validator(check: Callable[[object], str | None] | None) -> Callable[[object], None]:
    def validate(value: object) -> None:
        if check and (fault := check(value)):
            raise ValidationError(fault)

    return validate


def _faults(env: FileAwareEnv) -> list[str]:
    try:
        env.seal()
    except EnvValidationError as error:
        faults = cast("Mapping[str, list[str]]", error.error_messages)
        return [f"{name}: {message}" for name, messages in faults.items() for message in messages]
    return []


def _public_and_unsigned(settings: Settings) -> str | None:
    if split(settings.webhook_secrets) or settings.allow_unsigned or _is_loopback(settings.host):
        return None
    return (
        f"WEBHOOK_SECRETS: must be set, because HOST={settings.host} is a public address where anybody "
        "could post jobs; ALLOW_UNSIGNED=true lets them."
    )


def _unsigned_callbacks(settings: Settings) -> str | None:
    if split(settings.callback_hosts) and not split(settings.webhook_secrets):
        return "CALLBACK_HOSTS: goes with WEBHOOK_SECRETS only, which sign the callbacks"
    return None


def _prefixes(settings: Settings) -> str | None:
    prefix = settings.originals_prefix
    if prefix.startswith("/"):
        return "ORIGINALS_PREFIX: must not begin with /, as no key does"
    if settings.key_layout == "prefix" and prefix.startswith(DERIVATIVES):
        return f"ORIGINALS_PREFIX: must not begin with {DERIVATIVES}, where derivatives lie"
    if settings.shadow_prefix and prefix.startswith(settings.shadow_prefix):
        return f"SHADOW_PREFIX: originals lie there, as ORIGINALS_PREFIX={prefix} says"
    return None


def _bucket(settings: Settings) -> str | None:
    if settings.s3_bucket and settings.store != f"s3://{settings.s3_bucket}":
        return f"S3_BUCKET: is short for STORE=s3://{settings.s3_bucket}, but STORE says {settings.store}; set one"
    if settings.store.startswith("s3://") and settings.public_base_url == "/files" and settings.delivery != "stream":
        return "PUBLIC_BASE_URL: must be set, to the address at which browsers read the bucket of STORE"
    if settings.originals_base_url and not settings.store.startswith("s3://"):
        return "ORIGINALS_BASE_URL: goes with STORE=s3://<bucket> only"
    return None


def _scratch(settings: Settings) -> str | None:
    if 0 < settings.scratch_mb < settings.max_upload_mb:
        return f"SCRATCH_MB: must be at least MAX_UPLOAD_MB={settings.max_upload_mb}, or the largest would find no room"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
