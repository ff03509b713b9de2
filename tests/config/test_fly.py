"""fly.toml: Fly knows every name in it, and it fits the service that it runs."""

from __future__ import annotations

import msgspec
import pytest

from loadtest.service import SECRET
from proxy.readiness import CHECK_SECONDS
from proxy.reading import READERS
from proxy.settings import Settings, read_settings, told_by_environment
from tests.config.fly import FLY, read, seconds

CONFIG = read(FLY.read_bytes())
DEFAULTS = Settings()
LONGEST_STOP_SECONDS = 300
"""The longest kill_timeout that Fly grants."""


@pytest.mark.parametrize("wrong", [b"kil_timeout = 40", b"[env]\nWORKERS = 2", b"[[http_service.checks]]\nurl = '/'"])
def test_what_fly_does_not_know_is_refused(wrong: bytes) -> None:
    top = b"app = 'a'\nprimary_region = 'iad'\n"
    rest = b"\n[http_service]\ninternal_port = 8080\n[metrics]\nport = 9091\npath = '/metrics'\n"
    read(top + rest)
    with pytest.raises(msgspec.ValidationError):
        read(top + (wrong + rest if b"http_service" not in wrong else rest + wrong))


def test_its_environment_is_settings_with_which_the_service_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(CONFIG.env) <= {setting.name for setting in told_by_environment()}
    for name, value in {**CONFIG.env, "WEBHOOK_SECRETS": SECRET}.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.port == CONFIG.http_service.internal_port
    (mount,) = CONFIG.mounts
    for kept in (settings.queue.removeprefix("sqlite:///"), settings.store.removeprefix("file://")):
        assert kept.startswith(f"{mount.destination}/")


def test_the_settings_that_it_offers_in_comments_are_settings_too() -> None:
    offered = [line.removeprefix("# ").split(" = ")[0] for line in FLY.read_text().splitlines() if ' = "' in line]
    named = {name for name in offered if name.isupper()}
    assert {"S3_BUCKET", "PUBLIC_BASE_URL"} <= named
    assert named <= {setting.name for setting in told_by_environment()}


def test_it_is_the_machine_that_the_service_is_made_for() -> None:
    (machine,) = CONFIG.vm
    assert (machine.size, machine.memory, machine.cpus) == ("shared-cpu-1x", "256mb", 1)
    assert CONFIG.http_service.auto_stop_machines == "off"
    assert [one.policy for one in CONFIG.restart] == ["always"]


def test_it_asks_whether_the_service_is_ready_and_waits_for_the_answer() -> None:
    (check,) = CONFIG.http_service.checks
    assert (check.method, check.path) == ("GET", "/readyz")
    assert CHECK_SECONDS < seconds(check.timeout) < seconds(check.interval)


def test_it_stops_the_service_as_gently_as_the_service_can_stop() -> None:
    assert CONFIG.kill_signal == "SIGTERM"
    assert DEFAULTS.grace_seconds + 10 <= seconds(CONFIG.kill_timeout) <= LONGEST_STOP_SECONDS


def test_the_service_is_given_all_that_it_holds_at_once_and_refuses_the_rest_itself() -> None:
    limits = CONFIG.http_service.concurrency
    assert limits.type == "requests"
    assert DEFAULTS.waiting + DEFAULTS.workers + READERS <= limits.soft_limit < limits.hard_limit
