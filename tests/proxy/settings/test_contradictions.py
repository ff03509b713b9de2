"""Warnings about settings that contradict each other, or whose names are misspelt."""

from __future__ import annotations

import pytest

from proxy.settings.contradictions import contradictions
from proxy.settings.settings import Settings, list_settings


def warned(environment: dict[str, str], settings: Settings | None = None) -> list[str]:
    return contradictions(settings or Settings(), environment)


def test_the_defaults_contradict_nothing() -> None:
    assert warned({}) == []


def test_every_setting_and_its_file_is_known() -> None:
    names = [setting.name for setting in list_settings()]
    assert warned(dict.fromkeys([*names, *(f"{name}_FILE" for name in names)], "1")) == []


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE", "KUBERNETES_SERVICE_HOST", "KUBERNETES_PORT"),
        *("FLY_REGION", "REDIS_PORT", "SSL_CERT_FILE", "MALLOC_ARENA_MAX", "PYTHONPATH", "DISPLAY", "HOSTTYPE"),
        *(
            "SHELL",
            "LANG",
            "HOSTNAME",
            "HOME",
            "TMPDIR",
            "PATH",
            "TERM",
            "LOGNAME",
            "USER",
            "PWD",
            "OLDPWD",
            "MAIL",
            "IMAGE_CORPUS",
            "CI",
            "http_proxy",
            "NO_PROXY",
        ),
    ],
)
def test_a_variable_of_another_program_is_not_mistaken_for_ours(name: str) -> None:
    assert warned({name: "1"}) == []


def test_the_secret_of_the_senders_may_be_set_beside_those_of_the_service() -> None:
    assert warned({"WEBHOOK_SECRETS": "whsec_a", "WEBHOOK_SECRET": "whsec_a"}) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WORKER", "WORKERS"),
        ("MAX_PIXEL", "MAX_PIXELS"),
        ("S3_BUKET", "S3_BUCKET"),
        ("S3_ENDPOINT", "S3_ENDPOINT_URL"),
        ("METRIC_PORT", "METRICS_PORT"),
        ("WEBHOOK_SECRET", "WEBHOOK_SECRETS"),
        ("WEBHOOK_SECRET_FILE", "WEBHOOK_SECRETS_FILE"),
        ("Log_Level", "LOG_LEVEL"),
        ("STROE", "STORE"),
        ("PROT", "PORT"),
    ],
)
def test_a_misspelt_name_is_shown_with_the_right_one_and_without_its_value(name: str, meant: str) -> None:
    (warning,) = warned({name: "hunter2"})
    assert warning == f"{name}: is not a setting, and is ignored; is it {meant}?"


def test_one_port_for_two_servers_is_a_contradiction() -> None:
    (warning,) = warned({}, Settings(port=8080, metrics_port=8080))
    assert warning.startswith("METRICS_PORT: is 8080, which is PORT too")
    assert warned({}, Settings(port=8080, metrics_port=0)) == []


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_credentials_of_a_bucket_without_a_bucket_are_a_contradiction(name: str) -> None:
    (warning,) = warned({name: "hunter2"})
    assert warning.startswith(f"{name}: is set, but STORE is a folder")
    assert "hunter2" not in warning
    assert warned({name: "hunter2"}, Settings(store="s3://images")) == []
    assert warned({name: "hunter2"}, Settings(cdn_purge="cloudfront:E1")) == []
    assert warned({name: ""}) == []


@pytest.mark.parametrize("purge", ["", "cloudfront:E1"])
def test_a_token_that_no_cdn_uses_is_a_contradiction_that_does_not_show_it(purge: str) -> None:
    (warning,) = warned({}, Settings(cdn_purge=purge, cdn_purge_token="hunter2"))
    assert warning.startswith("CDN_PURGE_TOKEN: ")
    assert "hunter2" not in warning
    assert warned({}, Settings(cdn_purge="fastly:1", cdn_purge_token="hunter2")) == []


def test_copies_of_versions_that_a_purge_does_not_reach_are_a_contradiction() -> None:
    (warning,) = warned({}, Settings(cdn_purge="url:http://a{path}", versioned_redirects=True))
    assert warning.startswith("CDN_PURGE: url removes the copy of a URL, but not those of its versions")
    assert warned({}, Settings(cdn_purge="cloudfront:E1", versioned_redirects=True)) == []
