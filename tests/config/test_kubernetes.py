"""deploy/kubernetes fits the schemas of Kubernetes and the image, and leaves the pod no right that it does not need."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from loadtest.servers.service import SECRET
from proxy.observability.readiness import CHECK_SECONDS
from proxy.settings.settings import Settings, list_settings, read_settings

if TYPE_CHECKING:
    from types import ModuleType

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "kubernetes"
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
GUIDE: Final = (ROOT / "docs" / "deploy-kubernetes.md").read_text(encoding="utf-8")
KUSTOMIZATION: Final[dict[str, Any]] = msgspec.yaml.decode((FOLDER / "kustomization.yaml").read_bytes())
MANIFESTS: Final[dict[str, dict[str, Any]]] = {
    name: msgspec.yaml.decode((FOLDER / name).read_bytes()) for name in KUSTOMIZATION["resources"]
}
DEPLOYMENT: Final = MANIFESTS["deployment.yaml"]["spec"]
POD: Final = DEPLOYMENT["template"]["spec"]
(CONTAINER,) = POD["containers"]
OLDEST, NEWEST = "1.28", "1.37"
"""The versions of Kubernetes between which the manifests are valid."""


def settings() -> dict[str, str]:
    """Return the settings of the pod: those of the image, then those of the file."""
    (words,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    lines = (FOLDER / "settings.env").read_text(encoding="utf-8").splitlines()
    told = [*words.replace("\\\n", " ").split(), *(line for line in lines if not line.startswith("#"))]
    return dict(word.split("=", 1) for word in told)


@pytest.fixture(scope="module")
def kubernetes_validate() -> ModuleType:
    """Import what takes seconds, which everybody who collects tests would wait for."""
    return importlib.import_module("kubernetes_validate")


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_fits_its_schema(kubernetes_validate: ModuleType, name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_a_manifest_that_does_not_is_told(kubernetes_validate: ModuleType) -> None:
    wrong = {**MANIFESTS["service.yaml"], "spec": {"ports": [{"port": "http"}]}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_every_file_of_the_folder_is_used() -> None:
    used = {*MANIFESTS, *(name for one in KUSTOMIZATION["configMapGenerator"] for name in one["envs"])}
    assert {path.name for path in FOLDER.iterdir()} == used | {"kustomization.yaml"}


def test_its_settings_are_settings_with_which_the_service_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "webhook-secrets").write_text(SECRET)
    known = {setting.name for setting in list_settings()}
    own = {name: value for name, value in settings().items() if name.removesuffix("_FILE") in known}
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert Path(own["WEBHOOK_SECRETS_FILE"]).parent == Path(mounts["secrets"])
    moved = {"SIZES_FILE": ROOT / "config" / "sizes.toml", "WEBHOOK_SECRETS_FILE": tmp_path / "webhook-secrets"}
    for name, value in {**own, **moved}.items():
        monkeypatch.setenv(name, str(value))
    settled = read_settings()
    for kept in (settled.queue.removeprefix("sqlite:///"), settled.store.removeprefix("file://")):
        assert kept.startswith(f"{mounts['data']}/")


def test_the_settings_that_it_offers_in_comments_are_settings_too() -> None:
    offered = set(re.findall(r"(?m)^# ([A-Z_0-9]+)=", (FOLDER / "settings.env").read_text(encoding="utf-8")))
    assert {"S3_BUCKET", "PUBLIC_BASE_URL"} <= offered <= {setting.name for setting in list_settings()}


def test_the_service_and_the_selector_find_the_pod() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    assert DEPLOYMENT["selector"]["matchLabels"] == MANIFESTS["service.yaml"]["spec"]["selector"] == labels
    (claim,) = [volume["persistentVolumeClaim"] for volume in POD["volumes"] if "persistentVolumeClaim" in volume]
    assert claim["claimName"] == MANIFESTS["volume.yaml"]["metadata"]["name"]
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    assert CONTAINER["envFrom"][0]["configMapRef"]["name"] == generated["name"]


def test_it_runs_as_the_user_of_the_image_on_its_ports() -> None:
    security = POD["securityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in DOCKERFILE
    assert security["fsGroup"] == security["runAsGroup"]
    ports = [str(port["containerPort"]) for port in CONTAINER["ports"]]
    assert f"EXPOSE {' '.join(ports)}" in DOCKERFILE
    (port,) = MANIFESTS["service.yaml"]["spec"]["ports"]
    assert port["targetPort"] == "http", "the port of the series is for the network of the cluster only"


def test_it_has_no_right_and_leaves_renders_their_sandbox() -> None:
    own = CONTAINER["securityContext"]
    assert (own["capabilities"], own["readOnlyRootFilesystem"]) == ({"drop": ["ALL"]}, True)
    assert own["allowPrivilegeEscalation"] is False
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is POD["enableServiceLinks"] is False


def test_it_stops_the_service_as_gently_as_the_service_can_stop() -> None:
    assert POD["terminationGracePeriodSeconds"] >= Settings().grace_seconds + 10
    assert (DEPLOYMENT["replicas"], DEPLOYMENT["strategy"]["type"]) == (1, "Recreate")


def test_it_is_ready_when_the_service_is_and_ends_only_if_the_process_does_not_answer() -> None:
    probes = {name: CONTAINER[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
    paths = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}
    assert all(probe["timeoutSeconds"] > CHECK_SECONDS for probe in probes.values())


def test_the_guide_makes_the_secrets_that_the_pod_reads() -> None:
    (volume,) = [one["secret"] for one in POD["volumes"] if "secret" in one]
    key = Path(settings()["WEBHOOK_SECRETS_FILE"]).name
    assert f"create secret generic {volume['secretName']} --from-literal={key}=" in GUIDE
    assert f"create secret generic {CONTAINER['envFrom'][1]['secretRef']['name']} " in GUIDE
