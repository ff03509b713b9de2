"""fly.toml: Fly knows every name in it, and it fits the service that it runs."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import msgspec
import pytest

from loadtest.servers.service import SECRET
from proxy.cli.bulk.reprocess import reprocess
from proxy.derivatives.reader import READERS
from proxy.observability.readiness import CHECK_SECONDS
from proxy.settings.settings import Settings, list_settings, read_settings
from tests.config.fly import FLY, read, seconds

CONFIG = read(FLY.read_bytes())
GUIDE = (FLY.parent / "docs" / "deploy-fly.md").read_text(encoding="utf-8")
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
    assert set(CONFIG.env) <= {setting.name for setting in list_settings()}
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
    assert named <= {setting.name for setting in list_settings()}


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


def reprocess_command() -> list[str]:
    """Give the words with which the guide reprocesses all originals."""
    (command,) = re.findall(r"^(fly machine run (?:.*\\\n)*.*)$", GUIDE, re.MULTILINE)
    return shlex.split(command.replace("\\\n", " "))


def test_the_guide_reprocesses_in_the_bucket_that_it_has_the_service_use() -> None:
    (table,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    words = reprocess_command()
    told = [word for before, word in pairwise(words) if before == "--env"]
    assert dict(word.split("=", 1) for word in told) == msgspec.toml.decode(table)


def test_the_settings_of_the_guide_are_taken_in_the_place_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    (table,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    others = {name: value for name, value in CONFIG.env.items() if name != "STORE"}
    for name, value in {**others, **msgspec.toml.decode(table), "WEBHOOK_SECRETS": SECRET}.items():
        monkeypatch.setenv(name, value)
    assert read_settings().store == "s3://gallformers"


def test_the_guide_leaves_the_words_of_reprocess_to_reprocess() -> None:
    words = reprocess_command()
    assert "--" in words, "flyctl would take --prefix for its own, which it does not know"
    command, *options = words[words.index("--") + 1 :]
    assert command == reprocess.name
    reprocess.make_context(command, options)
