"""The document is valid, and every operation has a name, a group, examples that fit, headers and its signature."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from loadtest.servers.service import SECRET
from proxy.app.asgi import api_document
from proxy.app.wiring import build
from proxy.errors import BadKey
from proxy.http.document.operations import OPERATIONS, TAGS
from proxy.http.document.patterns import KEY, file_pattern, original_pattern
from proxy.http.problem_catalog import catalog
from proxy.http.problems import PROBLEM
from proxy.keys.layouts import PrefixLayout, SiteLayout
from proxy.keys.syntax import check_key
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = ["webhook-id", "webhook-timestamp", "webhook-signature"]


@cache
def document(*, secrets: str = SECRET, delivery: str = "redirect", base_path: str = "") -> dict[str, Any]:
    told = Settings(sizes=read_sizes(Path(SIZES_FILE)), webhook_secrets=secrets, delivery=delivery, base_path=base_path)
    return api_document(build(told), told)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document().get("paths", {}).items():
        for method in ("get", "put", "post", "delete"):
            if method in item:
                yield path, method, item[method]


def media() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every body of a request, a response or a callback, with where it is."""
    callbacks = [(kind, "post", item["post"]) for kind, item in document()["webhooks"].items()]
    for path, method, operation in [*operations(), *callbacks]:
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for name, body in bodies.items():
            for kind, one in body.get("content", {}).items():
                yield f"{method} {path} {name} {kind}", one


@pytest.mark.parametrize("delivery", ["redirect", "stream"])
@pytest.mark.parametrize("secrets", [SECRET, ""])
def test_the_document_is_valid(secrets: str, delivery: str) -> None:
    validate(document(secrets=secrets, delivery=delivery))


def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    assert {(path, method) for path, method, _ in operations()} == set(OPERATIONS)
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    assert {operation["tags"][0] for _, _, operation in operations()} == set(TAGS)


def test_no_operation_is_described_twice_for_head() -> None:
    assert [path for path, item in document()["paths"].items() if "head" in item] == []


def test_every_body_but_those_of_files_has_an_example_that_fits_its_schema() -> None:
    for where, one in media():
        if where.endswith("image/*"):
            continue
        assert one.get("examples"), where
        for example in one["examples"].values():
            validator = OAS31Validator({**one["schema"], "components": document()["components"]})
            assert [fault.message for fault in validator.iter_errors(example["value"])] == [], where


def test_every_problem_in_an_example_has_a_page_and_the_status_of_its_response() -> None:
    for path, method, operation in operations():
        for status, response in operation["responses"].items():
            for code, example in response.get("content", {}).get(PROBLEM, {}).get("examples", {}).items():
                assert example["value"]["status"] == int(status)
                assert int(status) in catalog()[code].statuses, (method, path, code)


def test_every_response_lists_its_headers() -> None:
    for _, _, operation in operations():
        for status, response in operation["responses"].items():
            headers = response["headers"]
            assert "X-Request-Id" in headers
            assert status != "401" or "WWW-Authenticate" in headers
            assert status != "503" or "Retry-After" in headers


def test_signed_operations_have_the_headers_of_their_signature_as_parameters() -> None:
    for path, method, operation in operations():
        headers = [one for one in operation.get("parameters", []) if one["in"] == "header"]
        is_signed = OPERATIONS[path, method].signing in ("body", "address")
        assert [one["name"] for one in headers] == (SIGNATURE if is_signed else [])
        assert all(one["required"] for one in headers)
        assert operation.get("security", []) == ([{"signed": []}] if is_signed else operation["security"])


def test_without_secrets_a_signature_is_optional() -> None:
    post = document(secrets="")["paths"]["/v1/jobs"]["post"]
    assert post["security"] == [{}, {"signed": []}]
    assert [one["required"] for one in post["parameters"]] == [False] * 3


def test_query_parameters_are_absent_or_have_a_value_never_null() -> None:
    for _, _, operation in operations():
        for one in operation.get("parameters", []):
            assert "null" not in str(one["schema"]).lower().replace("none", "null"), one["name"]


def test_the_callbacks_are_described_with_their_types() -> None:
    callbacks = document()["webhooks"]
    assert set(callbacks) == {"job.done", "job.error", "takedown.done", "takedown.error"}
    for kind, item in callbacks.items():
        schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert schema["properties"]["type"]["const"] == kind


def test_the_address_of_the_service_has_the_base_path() -> None:
    assert document()["servers"] == [{"url": "/"}]
    assert document(base_path="/images")["servers"] == [{"url": "/images"}]


KEYS = (
    "a", "a/b.jpg", ".a", "..a", "...", "a/.b", "é/ü", "", "/a", "a/", "a//b", ".", "..", "a/..", "./a", "a\n",
    "a\x85b",
    "gall/58/58_1_original.jpg", "x_original", "_original.jpg", "x_original.j_g", "x_original.", "x_small.jpg",
    "x_original/a", ".._original", "a/_original", "x_original.j.g", "x_original.jpg\n",
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_the_patterns_of_keys_are_as_strict_as_the_service(key: str) -> None:
    layout = SiteLayout(sizes=("small",))
    assert is_valid(check_key, key) == matches(KEY, key)
    assert is_valid(layout.check_original, key) == matches(original_pattern(layout), key)


@pytest.mark.parametrize(
    "key", [".a/x_original.jpg", "a/.b_original.jpg", "._original.jpg", "a/x_original.jpg", "_original"]
)
def test_in_a_folder_no_part_of_a_key_begins_with_a_dot(key: str) -> None:
    is_hidden = any(part.startswith(".") for part in key.split("/"))
    assert matches(original_pattern(SiteLayout(sizes=()), is_folder=True), key) == (not is_hidden)


def test_files_are_originals_and_derivatives() -> None:
    pattern = file_pattern(SiteLayout(sizes=("small",)), ("small",))
    names = ("x_original.jpg", "x_small.jpg", "a/x_small", "x.jpg", "x_large.jpg")
    assert [name for name in names if matches(pattern, name)] == ["x_original.jpg", "x_small.jpg", "a/x_small"]


def test_originals_below_prefixes_are_the_only_ones_that_match() -> None:
    layout = SiteLayout(sizes=("small",), originals_prefixes=("gall/", "keys-2/"))
    for key in ("gall/x_original.jpg", "keys-2/a/x_original.jpg", "other/x_original.jpg", "x_original.jpg"):
        assert is_valid(layout.check_original, key) == matches(original_pattern(layout), key), key


def test_other_layouts_have_the_pattern_of_any_key() -> None:
    assert original_pattern(PrefixLayout(sizes=("small",))) == KEY
    assert original_pattern(SiteLayout(sizes=("small",), originals_prefixes=("ga",))) == KEY


def is_valid(check: Any, key: str) -> bool:
    try:
        check(key)
    except BadKey:
        return False
    return True


def matches(pattern: str, key: str) -> bool:
    """Return whether the pattern finds the key as ECMA-262 does: `$` is only at the very end."""
    return re.search(pattern.removesuffix("$") + r"\Z", key) is not None
