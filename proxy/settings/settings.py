"""All settings, read once from the environment; all faults are reported together."""

from __future__ import annotations

import os
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import msgspec
from environs import EnvValidationError, FileAwareEnv
from marshmallow import ValidationError

from pipeline.size import Size  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.keys.layouts import DERIVATIVES, SiteLayout
from proxy.keys.shadow import REPLACED
from proxy.keys.where import Where  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.removal.cdn.address import address_fault, cdn_fault
from proxy.settings import env_file, header_values, validators
from proxy.settings.folders import queue_in_store, temporary_in_store
from proxy.settings.sizes import SIZES_FILE, BadSettings, SizesFile, read_sizes_file
from proxy.settings.validators import bucket_fault, endpoint_fault, public_fault, split, store_fault, web_fault
from proxy.settings.where import place_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

ADDRESSING = ("auto", "path", "virtual")


def _setting(
    default: T, description: str, check: Callable[[T], str | None] | None = None, *, secret: bool = False
) -> T:
    metadata = {"description": description, "check": check, "secret": secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the service. Each is read from the environment variable of its name in capitals.

    `<NAME>_FILE` names a file that contains the value instead, as secrets are mounted into containers. `sizes`
    and `where` are read from the file that `sizes_file` names.
    """

    host: str = _setting("127.0.0.1", "address to listen on", validators.host)
    port: int = _setting(8080, "port to listen on", validators.between(1, validators.HIGHEST_PORT))
    metrics_port: int = _setting(
        9091, "port for Prometheus; 0 disables it", validators.between(0, validators.HIGHEST_PORT)
    )
    store: str = _setting(
        "file://var/store",
        "where originals and derivatives are stored: `file://<folder>` or `s3://<bucket>`",
        store_fault,
    )
    s3_bucket: str = _setting("", "short for `STORE=s3://<bucket>`", bucket_fault)
    public_base_url: str = _setting(
        "/files",
        "URL or path at which browsers read the store; redirects go to `<PUBLIC_BASE_URL>/<key>`",
        public_fault,
    )
    base_path: str = _setting(
        "", "path prefix that a proxy in front of this service strips, such as `/images`", validators.base_path
    )
    public_origin: str = _setting(
        "",
        "origin at which callers reach this service, such as `https://images.example.org`; if it is set, requests "
        "without a body sign it with their path",
        header_values.origin,
    )
    service_url: str = _setting(
        "",
        "URL of the service that `gf-images jobs` and `gf-images smoke` call; empty: `HOST` and `PORT`",
        validators.service_url,
    )
    originals_base_url: str = _setting(
        "",
        "public URL from which the bucket is read, if the credentials can only write; not a CDN of `PUBLIC_BASE_URL`",
        web_fault,
    )
    s3_endpoint_url: str = _setting("", "endpoint of the bucket, if it is not Amazon's", endpoint_fault)
    s3_addressing: str = _setting(
        "auto",
        "addressing style of the bucket: `path` or `virtual` host; `auto` lets the client library decide",
        validators.one_of(*ADDRESSING),
    )
    s3_acl: str = _setting(
        "auto",
        "ACL of each derivative; `auto`: `public-read` if the bucket takes ACLs, otherwise none; empty: none",
        header_values.acl,
    )
    conditional_writes: bool = _setting(
        default=False, description="page views write only derivatives that do not exist; for machines on one bucket"
    )
    probe_key: str = _setting(
        "gallformers-images/write-probe",
        "key of the small blob that shows whether the store can be written and read; it is no original",
        validators.probe_key,
    )
    aws_region: str = _setting("", "region of the bucket", header_values.region)
    queue: str = _setting(
        "sqlite:///var/queue.db",
        "where jobs are queued: `sqlite:///<file>`, `redis[s]://…` or `postgresql://…`",
        validators.queue,
    )
    queue_size: int = _setting(64, "maximum number of waiting jobs", validators.between(1, 100_000))
    workers: int = _setting(
        2,
        "how many jobs, and how many renders, run concurrently; 0: jobs run on other machines",
        validators.between(0, 64),
    )
    waiting: int = _setting(128, "maximum number of page views that wait for a render", validators.between(0, 10_000))
    webhook_secrets: str = _setting(
        "",
        "secrets that sign jobs and callbacks, `whsec_<base64>`, separated by commas",
        validators.secrets,
        secret=True,
    )
    callback_secrets: str = _setting(
        "", "secrets that sign callbacks, if not those of `WEBHOOK_SECRETS`", validators.secrets, secret=True
    )
    allow_unsigned: bool = _setting(default=False, description="accept unsigned jobs on a public address")
    events_token: str = _setting(
        "", "token of senders of bucket events; empty: none are accepted", header_values.token, secret=True
    )
    events_remove: bool = _setting(
        default=False, description="events of removed originals delete their derivatives; see docs/events.md"
    )
    callback_hosts: str = _setting(
        "",
        "hosts that may receive callbacks, separated by commas; see docs/reference/http.md#callbacks",
        validators.hosts,
    )
    sizes_file: str = _setting(SIZES_FILE, "file that defines the sizes")
    key_layout: str = _setting(
        "site",
        "keys of derivatives; `site`: `…_original.jpg` becomes `…_small.jpg`; `prefix`: `derivatives/<key>/<size>`",
        validators.one_of("site", "prefix"),
    )
    originals_prefix: str = _setting("", "prefixes of the keys of all originals, separated by commas; empty: any key")
    shadow_prefix: str = _setting(
        "",
        "prefix for derivatives, such as `shadow/`; live derivatives are not changed; see docs/cutover.md",
        validators.prefix,
    )
    former_shadow_prefix: str = _setting(
        "shadow/",
        "an earlier `SHADOW_PREFIX`: a purge also removes derivatives below it",
        validators.prefix,
    )
    memory_budget_mb: int = _setting(
        0,
        "memory of all renders together, in MiB; 0: what the service leaves of the available memory",
        validators.zero_or(64, 10**7),
    )
    scratch_mb: int = _setting(
        0,
        "disk space for originals in progress, in MiB; 0: half of the free space in TMPDIR",
        validators.zero_or(1, 10**7),
    )
    max_upload_mb: int = _setting(30, "maximum size of an original, in MiB", validators.between(1, 1024))
    max_pixels: int = _setting(
        120_000_000,
        "maximum number of pixels of an original; of one frame, if it is animated",
        validators.between(1, 10**10),
    )
    render_timeout_seconds: float = _setting(60.0, "timeout for rendering one original", validators.between(1, 3600))
    sandbox: Literal["require", "best", "off"] = _setting(
        "best",
        "sandbox of render processes: `require` all of it, `best` for what the kernel has, or `off`; see SECURITY.md",
        validators.one_of("require", "best", "off"),
    )
    delivery: str = _setting(
        "redirect",
        "response to a page view: a `redirect` to `PUBLIC_BASE_URL`, or a `stream` of the bytes",
        validators.one_of("redirect", "stream"),
    )
    stream_cache_mb: int = _setting(
        8,
        "memory for derivatives that were read within the last minute, in MiB: they are sent without a call of the "
        "store; 0 disables it",
        validators.between(0, 10_000),
    )
    cache_control: str = _setting(
        "public, max-age=86400",
        "`Cache-Control` that is stored with each derivative and sent by the store",
        header_values.cache_control,
    )
    redirect_max_age: int = _setting(
        300, "how long browsers may cache a redirect, in seconds", validators.between(0, 31_536_000)
    )
    versioned_redirects: bool = _setting(
        default=False,
        description="URLs of derivatives end in `?v=` and their version, only for a CDN whose cache key has the query; "
        "see docs/reference/http.md#delivery",
    )
    cdn_purge: str = _setting(
        "",
        "CDN whose copies a takedown removes: `cloudfront:<id>`, `cloudflare:<zone>`, `fastly:<service>` or "
        "`url:<template>`; see docs/cdn-purge.md",
        address_fault,
    )
    cdn_purge_token: str = _setting("", "API token of that CDN", header_values.unprintable, secret=True)
    fallback_image: str = _setting(
        "",
        "file of a picture that errors of page views have as their body, for callers that display pictures",
        validators.fallback_image,
    )
    cors_origins: str = _setting(
        "", "origins whose scripts may call the service, separated by commas; `*` for any", header_values.origins
    )
    timing_allow_origin: str = _setting("", "origins that may read `Server-Timing`", header_values.origins)
    job_keep_days: float = _setting(7.0, "how many days ended jobs are kept", validators.between(0.001, 365))
    max_connections: int = _setting(
        0,
        "maximum number of HTTP connections; 0: 1,024, or the open-file limit less 64",
        validators.between(0, 1_000_000),
    )
    keep_alive_seconds: float = _setting(
        75.0,
        "how long an idle HTTP connection is kept; set more than the idle timeout of a load balancer",
        validators.between(1, 3600),
    )
    grace_seconds: float = _setting(
        25.0, "how long running work may continue after SIGTERM", validators.between(0, 3600)
    )
    ui: bool = _setting(default=False, description="pages for people at `/`, `/jobs`, `/pictures` and `/status`")
    ui_password: str = _setting("", "password of these pages, or its hash", validators.ui_password, secret=True)
    log_level: str = _setting(
        "INFO", "minimum level of logged events", validators.one_of("DEBUG", "INFO", "WARNING", "ERROR")
    )
    log_format: str = _setting("json", "`json`, or `console` for terminals", validators.one_of("json", "console"))
    sizes: tuple[Size, ...] = ()
    where: tuple[Where, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The documentation of one setting; `values` is empty if only the type of the default describes them."""

    name: str
    default: object
    description: str
    values: str
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
    values = {setting.name: _read(env, setting, faults) for setting in fields(Settings) if setting.metadata}
    faults += _faults(env)
    file = SizesFile()
    try:
        file = read_sizes_file(Path(str(values["sizes_file"]))) if values["sizes_file"] is not None else file
    except BadSettings as bad:
        faults += [f"SIZES_FILE: {fault}" for fault in bad.faults]
    if (bucket := values["s3_bucket"]) and not {"STORE", "STORE_FILE"} & set(os.environ):
        values["store"] = f"s3://{bucket}"
    good = {name: value for name, value in values.items() if value is not None}
    settings = msgspec.convert({**good, "sizes": file.sizes, "where": file.where}, Settings)
    named = {fault.partition(":")[0].removesuffix("_FILE") for fault in faults}
    posting = (_public_and_unsigned,) if accepts_jobs else ()
    rules = (*posting, _unsigned_callbacks, _bucket, _probe, _cdn, _scratch, _queue_folder, _temporary_folder)
    cross_faults = [
        *(fault for rule in rules if (fault := rule(settings))),
        *place_faults(
            prefixes=split(settings.originals_prefix),
            key_layout=settings.key_layout,
            shadow_prefix=settings.shadow_prefix,
            where=settings.where,
        ),
    ]
    faults += [fault for fault in cross_faults if fault.partition(":")[0] not in named]
    if faults:
        raise BadSettings(faults)
    return settings


def list_settings() -> list[Setting]:
    """Return all settings with their descriptions, for docs/reference/settings.md and `gf-images check`."""
    return [
        Setting(
            name=setting.name.upper(),
            default=setting.default,
            description=setting.metadata["description"],
            values=validators.valid_values(setting.metadata["check"]),
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
    except (OSError, ValueError) as error:  # the library raises these at once, despite `eager=False`
        faults.append(env_file.file_fault(name, error))
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
        return [f"{name}: {_advice(name, message)}" for name, messages in faults.items() for message in messages]
    return []


def _advice(name: str, message: str) -> str:
    """Replace the library's message about a value of the wrong type by what the value must be."""
    example = Settings.__dataclass_fields__[name.lower()].default
    kinds = {
        "Not a valid integer.": f"must be a whole number, such as {example}",
        "Not a valid number.": f"must be a number, such as {example}",
        "Special numeric values (nan or infinity) are not permitted.": f"must be a number, such as {example}",
        "Not a valid boolean.": "must be true or false",
    }
    return kinds.get(message, message)


def _public_and_unsigned(settings: Settings) -> str | None:
    if split(settings.webhook_secrets) or settings.allow_unsigned or validators.is_loopback(settings.host):
        return None
    return (
        f"WEBHOOK_SECRETS: must be set, because HOST={settings.host} is a public address, where anyone could post "
        "jobs; `gf-images secret` prints one. ALLOW_UNSIGNED=true permits unsigned jobs."
    )


def _unsigned_callbacks(settings: Settings) -> str | None:
    if split(settings.callback_hosts) and not split(settings.callback_secrets or settings.webhook_secrets):
        return (
            "CALLBACK_HOSTS: requires WEBHOOK_SECRETS or CALLBACK_SECRETS, which sign the callbacks; set one of them, "
            "or leave CALLBACK_HOSTS empty"
        )
    return None


def _bucket(settings: Settings) -> str | None:
    if settings.s3_bucket and settings.store != f"s3://{settings.s3_bucket}":
        return f"S3_BUCKET: is short for STORE=s3://{settings.s3_bucket}, but STORE is {settings.store}; set only one"
    if settings.store.startswith("s3://") and settings.public_base_url == "/files" and settings.delivery != "stream":
        return "PUBLIC_BASE_URL: must be set to the URL at which browsers read the bucket of STORE"
    if settings.originals_base_url and not settings.store.startswith("s3://"):
        return "ORIGINALS_BASE_URL: requires STORE=s3://<bucket>; leave it empty for a file store"
    return None


def _probe(settings: Settings) -> str | None:
    key, sizes = settings.probe_key, tuple(size.name for size in settings.sizes)
    prefixes = (DERIVATIVES, REPLACED, settings.shadow_prefix, settings.former_shadow_prefix)
    if key.startswith(tuple(filter(None, prefixes))) or SiteLayout(sizes=sizes).original_of(key):
        return f"PROBE_KEY: must not be the key of a derivative, but {key} is; choose another one"
    return None


def _queue_folder(settings: Settings) -> str | None:
    return queue_in_store(settings.queue, settings.store)


def _temporary_folder(settings: Settings) -> str | None:
    return temporary_in_store(settings.store)


def _cdn(settings: Settings) -> str | None:
    return cdn_fault(
        settings.cdn_purge,
        has_token=bool(settings.cdn_purge_token),
        has_urls=not settings.public_base_url.startswith("/") or bool(settings.public_origin),
    )


def _scratch(settings: Settings) -> str | None:
    if 0 < settings.scratch_mb < (most := settings.max_upload_mb):
        return f"SCRATCH_MB: must be at least MAX_UPLOAD_MB={most}, or the largest originals do not fit"
    return None
