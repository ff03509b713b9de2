"""The models that are cut to what the store calls are the whole ones in everything that it calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from proxy.stores.s3.models import OPERATIONS, SERVICES, CutFileLoader

if TYPE_CHECKING:
    from pathlib import Path

    from botocore.model import Shape


def plain(shape: Shape | None, seen: tuple[str, ...] = ()) -> object:
    """Return all that a shape and the shapes in it declare, except for their descriptions."""
    if shape is None or shape.name in seen:
        return shape and shape.name
    inner = (*seen, shape.name)
    own = {name: getattr(shape, name, None) for name in ("name", "type_name", "serialization", "metadata", "enum")}
    members = {name: plain(member, inner) for name, member in getattr(shape, "members", {}).items()}
    parts = [plain(getattr(shape, name, None), inner) for name in ("member", "key", "value")]
    return own, members, parts


@pytest.fixture(scope="module")
def whole() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("s3", "service-2"))


@pytest.fixture(scope="module")
def cut() -> ServiceModel:
    return ServiceModel(Loader(file_loader=CutFileLoader()).load_service_model("s3", "service-2"))


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_that_the_store_calls_is_whole(whole: ServiceModel, cut: ServiceModel, name: str) -> None:
    one, other = whole.operation_model(name), cut.operation_model(name)
    assert plain(one.input_shape) == plain(other.input_shape)
    assert plain(one.output_shape) == plain(other.output_shape)
    assert list(map(plain, one.error_shapes)) == list(map(plain, other.error_shapes))
    for told in (
        "http",
        "http_checksum",
        "static_context_parameters",
        "context_parameters",
        "auth",
        "endpoint",
        "name",
    ):
        assert getattr(one, told) == getattr(other, told), told


def test_what_the_service_declares_is_whole_and_other_operations_are_left_out(
    whole: ServiceModel, cut: ServiceModel
) -> None:
    assert (whole.metadata, whole.signature_version) == (cut.metadata, cut.signature_version)
    assert whole.client_context_parameters == cut.client_context_parameters
    assert set(cut.operation_names) == OPERATIONS < set(whole.operation_names)
    assert len(cut.shape_names) < len(whole.shape_names) / 4


def test_of_the_endpoints_only_other_services_are_left_out() -> None:
    whole, cut = (Loader(file_loader=loader).load_data("endpoints") for loader in (None, CutFileLoader()))
    for partition in whole["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in SERVICES}
    assert cut == whole
    assert all("s3" in partition["services"] for partition in cut["partitions"])


def test_models_of_other_services_are_loaded_whole() -> None:
    for name in ("sts", "sso-oidc"):
        loaded = (
            Loader(file_loader=loader).load_service_model(name, "service-2") for loader in (None, CutFileLoader())
        )
        assert next(loaded) == next(loaded)


@pytest.mark.parametrize("content", [{"operations": {}, "shapes": {}}, {"partitions": [{}]}])
def test_a_model_of_another_form_is_loaded_whole(tmp_path: Path, content: dict[str, object]) -> None:
    name = "endpoints" if "partitions" in content else "s3/2006-03-01/service-2"
    path = tmp_path / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    assert CutFileLoader().load_file(str(tmp_path / name)) == content
    assert CutFileLoader().load_file(str(tmp_path / "nothing" / "endpoints")) is None
