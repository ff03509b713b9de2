"""deploy/: it grants what the service calls and no more, and its outputs are settings.

`tofu fmt` and `tofu validate` run where a program of that kind is on the machine. `validate` needs the plugin of the
provider as well: `TF_CLI_ARGS_init=-plugin-dir=<folder>` names where it is. Nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import hcl2
import pytest

from proxy.keys.shadow import REPLACED
from proxy.removal.cdn.address import address_fault
from proxy.settings.settings import Settings, list_settings
from proxy.stores.s3.models import OPERATIONS

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "gallformers"
INIT_ARGUMENTS: Final = "TF_CLI_ARGS_init"
SOURCES: Final = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.tf"))}
CODE: Final = "\n".join(re.sub(r"(?m)^\s*#.*$", "", source) for source in SOURCES.values())

Block = dict[str, object]

ACTIONS: Final = {
    "AbortMultipartUpload": {"s3:AbortMultipartUpload"},
    "CompleteMultipartUpload": {"s3:PutObject"},
    "CopyObject": {"s3:GetObject", "s3:PutObject"},
    "CreateMultipartUpload": {"s3:PutObject"},
    "CreateSession": set(),  # of directory buckets alone
    "DeleteObject": {"s3:DeleteObject"},
    "GetObject": {"s3:GetObject"},
    "HeadBucket": {"s3:ListBucket"},
    "HeadObject": {"s3:GetObject"},
    "ListObjectVersions": {"s3:ListBucketVersions"},
    "ListObjectsV2": {"s3:ListBucket"},
    "PutObject": {"s3:PutObject"},
    "UploadPart": {"s3:PutObject"},
}
"""The operations of S3 that the store may call, and the actions that a policy must allow for each
(docs.aws.amazon.com, *Required permissions for Amazon S3 API operations*)."""

TAKEDOWN: Final = {"s3:DeleteObjectVersion", "s3:ListBucketVersions"}
"""What the removal of every version needs: `DeleteObject` with a version is an action of its own."""


@cache
def read(name: str) -> Block:
    """Return the content of a file, with strings without their quotes."""
    plain: Block = hcl2.loads(SOURCES[name], serialization_options=hcl2.SerializationOptions(strip_string_quotes=True))
    return plain


def blocks(content: Block, kind: str) -> list[Block]:
    """Return the blocks of a kind, in order."""
    found = content.get(kind, [])
    assert isinstance(found, list)
    return found


def statements(name: str, document: str) -> list[Block]:
    """Return the statements of a policy document in a file."""
    for block in blocks(read(name), "data"):
        documents = block.get("aws_iam_policy_document")
        if isinstance(documents, dict) and document in documents:
            return blocks(documents[document], "statement")
    raise AssertionError(document)


def texts(statement: Block, key: str) -> list[str]:
    value = statement[key]
    return value if isinstance(value, list) else [str(value)]


def called() -> set[str]:
    """Return the actions that the code of the service uses."""
    purger = (ROOT / "proxy/removal/cdn/cloudfront.py").read_text(encoding="utf-8")
    purges = set(re.findall(r'"(cloudfront:\w+)"', purger))
    return set().union(*(ACTIONS[operation] for operation in OPERATIONS)) | TAKEDOWN | purges


def test_the_service_may_do_what_its_code_calls_and_no_more() -> None:
    granted = [action for statement in statements("user.tf", "service") for action in texts(statement, "actions")]
    assert sorted(granted) == sorted(called())


def test_no_statement_of_the_service_is_about_everything() -> None:
    for statement in statements("user.tf", "service"):
        resources = texts(statement, "resources")
        expected = "local.object_arns" if "Object" in texts(statement, "actions")[0] else r"\w+\.\w+(\.\w+)?\.arn"
        assert all(re.fullmatch(rf"\$\{{({expected})\}}", resource) for resource in resources), statement
        assert "*" not in "".join(texts(statement, "actions"))


def test_every_statement_has_a_reason() -> None:
    for name, source in SOURCES.items():
        lines = source.splitlines()
        for number, line in enumerate(lines):
            if re.fullmatch(r'\s*(dynamic "statement"|statement) \{', line):
                assert lines[number - 1].strip().startswith("# "), f"{name}:{number + 1}"


def test_the_service_reaches_every_key_that_it_writes() -> None:
    (locals_,) = blocks(read("user.tf"), "locals")
    own = re.findall(r'"([\w-]+/)"', str(locals_["object_prefixes"]))
    assert REPLACED in own
    assert Settings().former_shadow_prefix in own
    assert Settings().probe_key.startswith(tuple(own))


def test_its_outputs_are_settings() -> None:
    outputs = {name: block for output in blocks(read("outputs.tf"), "output") for name, block in output.items()}
    settings = outputs["settings"]
    assert isinstance(settings, dict)
    values = settings["value"]
    assert isinstance(values, dict)
    names = {str(name) for name in values if not str(name).startswith("__")}
    assert {"S3_BUCKET", "PUBLIC_BASE_URL", "CDN_PURGE"} <= names <= {one.name for one in list_settings()}
    purge = re.sub(r"\$\{.*\}", "E1EXAMPLE", str(values["CDN_PURGE"]))
    assert address_fault(purge) is None


def test_every_variable_is_described_and_used_and_every_used_one_is_there() -> None:
    declared = {name: block for one in blocks(read("variables.tf"), "variable") for name, block in one.items()}
    used = set(re.findall(r"\bvar\.(\w+)", "\n".join(SOURCES[name] for name in SOURCES if name != "variables.tf")))
    assert used == {*declared}
    for name, block in declared.items():
        assert isinstance(block, dict)
        assert {"description", "type"} <= block.keys(), name
        assert ("sensitive" in block) == ("token" in name), name


def test_every_resource_that_is_named_is_there() -> None:
    named = set(re.findall(r"(?<![\w\"-])(?:data\.)?aws_\w+\.\w+", CODE))
    there = {f"{kind}.{name}" for kind, name in re.findall(r'(?m)^resource "(\w+)" "(\w+)"', CODE)}
    there |= {f"data.{kind}.{name}" for kind, name in re.findall(r'(?m)^data "(\w+)" "(\w+)"', CODE)}
    assert named <= there
    assert len(there) > 15


def test_the_distribution_has_a_behaviour_for_each_default_size() -> None:
    declared = {name: block for one in blocks(read("variables.tf"), "variable") for name, block in one.items()}
    sizes = declared["sizes"]
    assert isinstance(sizes, dict)
    toml = (ROOT / "config/sizes.toml").read_text(encoding="utf-8")
    assert sizes["default"] == re.findall(r"(?m)^\[sizes\.(\w+)\]", toml)


def test_no_secret_is_written_into_an_output_or_a_key() -> None:
    assert "aws_iam_access_key" not in CODE
    assert "var.events_token" not in SOURCES["outputs.tf"]


def program() -> str:
    """Return OpenTofu, or the program that it is compatible with; skip the test without one."""
    found = shutil.which("tofu") or shutil.which("terraform")
    if not found:
        pytest.skip("tofu is not on this machine")
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the folder, in which plugins may be linked."""
    for name, source in SOURCES.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    return tmp_path


def run(*command: str, folder: Path) -> None:
    environment = {
        **os.environ,
        "TF_CLI_CONFIG_FILE": os.devnull,
        "CHECKPOINT_DISABLE": "true",
        "TF_IN_AUTOMATION": "1",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_formatted(copy: Path) -> None:
    run(program(), "fmt", "-check", "-diff", folder=copy)


def test_it_is_valid_for_its_provider(copy: Path) -> None:
    one = program()
    if "-plugin-dir" not in os.environ.get(INIT_ARGUMENTS, ""):
        pytest.skip(f"{INIT_ARGUMENTS} names no folder with the plugin of the provider")
    run(one, "init", "-backend=false", "-input=false", folder=copy)
    run(one, "validate", folder=copy)
