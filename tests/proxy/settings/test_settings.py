"""Tests of reading and validating the settings."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from proxy.settings.settings import list_settings, read_settings
from proxy.settings.sizes import BadSettings, read_sizes
from proxy.settings.validators import mask_passwords, split

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or more").decode()
CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in list_settings():
        monkeypatch.delenv(setting.name, raising=False)


def faults() -> tuple[str, ...]:
    with pytest.raises(BadSettings) as refusal:
        read_settings()
    return refusal.value.faults


def test_the_defaults_are_the_live_sites_sizes_on_a_loopback_address() -> None:
    settings = read_settings()
    assert {size.name: size.width for size in settings.sizes} == {
        "small": 300,
        "medium": 800,
        "large": 1200,
        "xlarge": 2000,
    }
    assert (settings.host, settings.queue_size, settings.workers) == ("127.0.0.1", 64, 2)


def test_every_fault_is_named_at_once_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("WORKERS", "-1")
    monkeypatch.setenv("STORE", "ftp://somewhere")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("KEY_LAYOUT", "other")
    monkeypatch.setenv("WEBHOOK_SECRETS", "whsec_c2hvcnQ=")
    monkeypatch.setenv("CALLBACK_HOSTS", "example.org, https://example.org/path")
    monkeypatch.setenv("SIZES_FILE", "/nowhere.toml")
    monkeypatch.setenv("ORIGINALS_PREFIX", "/gall/")
    named = {fault.partition(":")[0] for fault in faults()}
    assert named == {
        "PORT",
        "WORKERS",
        "STORE",
        "LOG_LEVEL",
        "KEY_LAYOUT",
        "WEBHOOK_SECRETS",
        "CALLBACK_HOSTS",
        "SIZES_FILE",
        "ORIGINALS_PREFIX",
    }


def test_a_secret_never_stands_in_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", "hunter2")
    assert "hunter2" not in "".join(faults())


@pytest.mark.parametrize("url", ["redi://:hunter2@host", "sqlite:queue.db", "redis://", "mysql://user:hunter2@host/db"])
def test_the_address_of_no_queue_is_refused_without_quoting_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("QUEUE", url)
    (fault,) = faults()
    assert fault.startswith("QUEUE: must start with one of sqlite:///, redis://, rediss://, postgresql://")
    assert "hunter2" not in fault


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://images:hunter%2@host/queue",
        "postgresql://images:hunter2@host:99999/queue",
        "postgresql://images:hunter2@host:0/queue",
        "postgresql://images:hunter2@host:port/queue",
        "postgresql://images:hunter2@[host/queue",
        "postgresql://images:hunter2@host/queue?colour=red",
        "redis://:hunter2@host:99999",
        "redis://:hunter2@host:port",
        "redis://:hunter2@host/x",
        "redis://:hunter2@host/0/1",
        "redis://:hunter2@host/-1",
        "redis://:hunter2@/0",
        "redis://:hunter2@[host",
        "redis://:hunter2@host?socket_timeout=red",
        "redis://:hunter#2@host",
        "rediss://:hunter2@host:99999/0",
    ],
)
def test_an_address_that_leads_to_no_queue_is_a_fault_that_quotes_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("QUEUE", url)
    (fault,) = faults()
    assert fault.startswith("QUEUE: must ")
    assert "percent-encoded" in fault
    assert "hunter" not in fault


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///queue.db",
        "redis://host",
        "redis://host/",
        "redis://[::1]:6379/15?socket_timeout=3",
        "rediss://:hunter2@host:1/2",
        "postgresql://h/d",
        "postgresql:///d?host=/var/run/postgresql",
        "postgresql://a:1,b:2/d",
        "postgres://images:hunter%25@h:5432/d",
    ],
)
def test_every_kind_of_queue_is_welcome(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("QUEUE", url)
    assert read_settings().queue == url


def test_a_password_is_masked_whatever_it_is_made_of() -> None:
    assert mask_passwords("rediss://user:hunter2/@x@host?password=hunter2&db=1") == (
        "rediss://user:***@host?password=***&db=1"
    )


def test_it_does_not_start_unsigned_on_a_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 - the address under test
    assert [fault.partition(":")[0] for fault in faults()] == ["WEBHOOK_SECRETS"]
    monkeypatch.setenv("ALLOW_UNSIGNED", "true")
    assert read_settings().allow_unsigned
    monkeypatch.delenv("ALLOW_UNSIGNED")
    monkeypatch.setenv("WEBHOOK_SECRETS", SECRET)
    assert read_settings().webhook_secrets == SECRET


@pytest.mark.parametrize("value", [",", " ", " , "])
def test_a_list_of_no_secret_is_no_secret(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", value)
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 - the address under test
    monkeypatch.setenv("CALLBACK_HOSTS", "example.org")
    assert [fault.partition(":")[0] for fault in faults()] == ["WEBHOOK_SECRETS", "CALLBACK_HOSTS"]


@pytest.mark.parametrize(
    "value",
    [
        "whsec_" + "!" * 40,
        SECRET + "!",
        SECRET.replace("Y", "-"),
        SECRET + "====",
        f"{SECRET},whsec_",
        f"{SECRET} {SECRET}",  # without the comma
        "whsec_" + "é" * 40,
    ],
)
def test_a_secret_is_base64_to_the_letter(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", value)
    (fault,) = faults()
    assert fault.startswith("WEBHOOK_SECRETS: entry")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("whsec_" + "A" * 44, "entry 1 must be random; `gf-images secret` prints one"),
        (f"{SECRET},{SECRET.rstrip('=')}", "entry 2 repeats entry 1; remove one of them"),
    ],
)
def test_a_secret_that_protects_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", value)
    assert faults() == (f"WEBHOOK_SECRETS: {said}",)


def test_a_secret_may_go_without_its_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", SECRET.rstrip("="))
    assert read_settings().webhook_secrets


@pytest.mark.parametrize("name", ["WEBHOOK_SECRETS", "PORT", "SIZES_FILE"])
def test_a_file_that_holds_no_value_is_one_fault_among_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 - the address under test
    monkeypatch.setenv("ALLOW_UNSIGNED", "true" if name != "WEBHOOK_SECRETS" else "false")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    whys = {
        "nowhere": "No such file or directory",
        ".": "Is a directory",
        "bytes": "it has other bytes",
        "bytes/below": "Not a directory",
    }
    for file, why in whys.items():
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / file))
        told = faults()
        assert told[0].endswith(f"which {tmp_path / file} is not: {why}")
        assert [fault.partition(":")[0] for fault in told] == [f"{name}_FILE", "LOG_LEVEL"]
        assert "must name a readable file" in told[0]


def test_only_what_takes_posts_needs_a_secret_on_a_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 - the address under test
    assert read_settings(accepts_jobs=False).webhook_secrets == ""


def test_callbacks_are_never_unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBACK_HOSTS", "example.org")
    assert [fault.partition(":")[0] for fault in faults()] == ["CALLBACK_HOSTS"]
    for name in ("WEBHOOK_SECRETS", "CALLBACK_SECRETS"):
        with monkeypatch.context() as context:
            context.setenv(name, SECRET)
            assert read_settings().callback_hosts == "example.org"


def test_a_secret_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    monkeypatch.setenv("WEBHOOK_SECRETS_FILE", str(tmp_path / "secret"))
    assert read_settings().webhook_secrets == SECRET


def test_the_second_sizes_file_is_ready_to_use() -> None:
    sizes = {size.name: (size.width, size.height, size.fit) for size in read_sizes(CONFIG / "sizes-square.toml")}
    assert sizes["thumbnail"] == (200, 200, "fill")


def test_every_fault_of_a_sizes_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sizes.toml"
    path.write_text("[sizes.a]\nwidth = 0\nfit = 'x'\n[sizes.b]\nwidth = 3\nheigth = 3\n[sizes.c]\n[sizes]\nd = 3\n")
    with pytest.raises(BadSettings) as refusal:
        read_sizes(path)
    assert [fault.partition(":")[0] for fault in refusal.value.faults] == ["sizes.a", "sizes.b", "sizes.c", "sizes.d"]
    assert "width" in refusal.value.faults[0]
    assert "fit" in refusal.value.faults[0]


@pytest.mark.parametrize("text", ["", "not toml =", "[other]\n", "sizes = 3\n"])
def test_a_file_without_sizes_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sizes.toml"
    path.write_text(text)
    with pytest.raises(BadSettings):
        read_sizes(path)


def test_lists_are_split_at_commas_without_their_blanks() -> None:
    assert split(" a, b ,,c ") == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["PUBLIC_BASE_URL", "ORIGINALS_BASE_URL", "S3_ENDPOINT_URL"])
@pytest.mark.parametrize(
    "value",
    [
        "cdn.example.com",
        "ftp:/bla",
        "ftp://cdn.example.com",
        "http:/cdn.example.com",
        "https://",
        "http://[",
        "http://cdn.example.com:port",
        "http://cdn.example.com/?a=b",
        "http://cdn.example.com/#a",
        "http://cdn example.com",
        "//cdn.example.com",
    ],
)
def test_an_address_that_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for setting in ("PUBLIC_BASE_URL", "ORIGINALS_BASE_URL", "S3_ENDPOINT_URL"):
        monkeypatch.setenv(setting, "https://cdn.example.com:8443/some/where")
    monkeypatch.setenv("STORE", "s3://images")
    read_settings()
    monkeypatch.setenv(name, value)
    assert [fault.partition(":")[0] for fault in faults()] == [name]


def test_an_endpoint_takes_no_password_and_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://user:hunter2@127.0.0.1:9000")
    (fault,) = faults()
    assert "AWS_SECRET_ACCESS_KEY" in fault
    assert "hunter2" not in fault


def test_a_bucket_may_be_named_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "images")
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://images.test")
    assert read_settings().store == "s3://images"
    monkeypatch.setenv("STORE", "s3://images")
    assert read_settings().store == "s3://images"
    for other in ("s3://other", "file://var/store"):
        monkeypatch.setenv("STORE", other)
        assert [fault.partition(":")[0] for fault in faults()] == ["S3_BUCKET"]


def test_a_bucket_named_by_itself_needs_what_a_bucket_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "images")
    assert [fault.partition(":")[0] for fault in faults()] == ["PUBLIC_BASE_URL"]


@pytest.mark.parametrize("name", ["a bucket", "images/prefix", "s3://images", "ü"])
def test_a_bucket_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://images.test")
    monkeypatch.setenv("S3_BUCKET", name)
    assert [fault.partition(":")[0] for fault in faults()] == ["S3_BUCKET"]
    monkeypatch.delenv("S3_BUCKET")
    monkeypatch.setenv("STORE", f"s3://{name}")
    assert [fault.partition(":")[0] for fault in faults()] == ["STORE"]


@pytest.mark.parametrize("name", ["QUEUE", "TMPDIR"])
@pytest.mark.parametrize("below", ["", "below", "a/b/c", "link/x", "../store", "../linked/below"])
def test_what_is_not_to_be_served_is_not_in_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, below: str
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to(store)
    (store / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    path = store / below
    values = {"QUEUE": f"sqlite:///{path}/queue.db", "TMPDIR": str(path)}
    monkeypatch.setenv(name, values[name])
    if below == "link/x":  # which leads out of it
        monkeypatch.setenv("STORE", f"file://{store}")
        assert read_settings().store == f"file://{store}"
        return
    for address in (str(store), "store", f"{tmp_path}/linked", f"{store}/"):
        monkeypatch.setenv("STORE", f"file://{address}")
        (fault,) = faults()
        assert fault.startswith(f"{name}: {path}")
        assert f"is in the folder of STORE, {address}, whose files are served; set {name} to a f" in fault
        assert "or STORE to a folder of its own" in fault
    monkeypatch.setenv("STORE", f"file://{tmp_path}/store-of-its-own")
    assert read_settings().store.endswith("own")


def test_a_queue_that_is_a_link_is_in_the_store_if_either_end_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("store", "var"):
        (tmp_path / name).mkdir()
    (tmp_path / "var" / "in.db").symlink_to(tmp_path / "store" / "queue.db")
    (tmp_path / "store" / "out.db").symlink_to(tmp_path / "var" / "queue.db")
    monkeypatch.setenv("STORE", f"file://{tmp_path}/store")
    for name in ("var/in.db", "store/out.db"):
        monkeypatch.setenv("QUEUE", f"sqlite:///{tmp_path}/{name}")
        assert [fault.partition(":")[0] for fault in faults()] == ["QUEUE"]


def test_a_bucket_and_a_server_are_in_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://images.test")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("STORE", "s3://images")
    monkeypatch.setenv("QUEUE", f"sqlite:///{tmp_path}/queue.db")
    assert read_settings().store == "s3://images"
    monkeypatch.setenv("STORE", f"file://{tmp_path}/store")
    for queue in ("redis://host", "postgresql://h/d"):
        monkeypatch.setenv("QUEUE", queue)
        assert read_settings().queue == queue


def test_room_for_originals_must_be_enough_for_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH_MB", "29")
    monkeypatch.setenv("MEMORY_BUDGET_MB", "63")
    assert [fault.partition(":")[0] for fault in faults()] == ["MEMORY_BUDGET_MB", "SCRATCH_MB"]
    monkeypatch.setenv("MAX_UPLOAD_MB", "29")
    monkeypatch.setenv("MEMORY_BUDGET_MB", "64")
    assert read_settings().scratch_mb == 29


@pytest.mark.parametrize(
    "key",
    ["", "/probe", ".probe", "a/.b/probe", "a//b", "a/../b", "gall/1/1_1_small.jpg", "derivatives/a", "shadow/a"],
)
def test_a_key_of_the_probe_that_is_none_or_that_of_a_derivative_is_named(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("PROBE_KEY", key)
    assert [fault.partition(":")[0] for fault in faults()] == ["PROBE_KEY"]


def test_the_probe_may_have_any_other_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_KEY", "gall/is it there?")
    assert read_settings().probe_key == "gall/is it there?"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({}, "CDN_PURGE"),
        ({"PUBLIC_BASE_URL": "https://cdn.example.org"}, "CDN_PURGE_TOKEN"),
        ({"PUBLIC_ORIGIN": "https://cdn.example.org", "CDN_PURGE_TOKEN": "a\nb"}, "CDN_PURGE_TOKEN"),
    ],
)
def test_a_cdn_needs_its_token_and_the_urls_of_pictures(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, str], named: str
) -> None:
    monkeypatch.setenv("CDN_PURGE", "fastly:1" if more else "cloudfront:E1")
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    assert [fault.partition(":")[0] for fault in faults()] == [named]
