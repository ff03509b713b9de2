"""What a checkout's pyproject.toml says about layers, and about names that may break a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class Contract(msgspec.Struct, frozen=True):
    """A contract of import-linter."""

    type: str
    containers: list[str] = []
    layers: list[str] = []


class ImportLinter(msgspec.Struct, frozen=True):
    """The settings of import-linter."""

    contracts: list[Contract] = []


class VultureRules(msgspec.Struct, frozen=True):
    """The settings of vulture: patterns of names that frameworks use."""

    ignore_names: list[str] = []


class HouseRules(msgspec.Struct, frozen=True):
    """The settings of this report: file names that may stand twice."""

    homonyms: list[str] = []


class Tools(msgspec.Struct, frozen=True):
    """The tables below `tool` that are read here."""

    importlinter: ImportLinter = ImportLinter()
    vulture: VultureRules = VultureRules()
    house: HouseRules = HouseRules()

    @property
    def layers(self) -> dict[str, int]:
        """Return how many layers each container has."""
        layered = [contract for contract in self.importlinter.contracts if contract.type == "layers"]
        return {container: len(contract.layers) for contract in layered for container in contract.containers}


class _Project(msgspec.Struct, frozen=True):
    tool: Tools = Tools()


def read_tools(root: Path) -> Tools:
    """Read the pyproject.toml of a checkout; nothing is set where there is none."""
    path = root / "pyproject.toml"
    return msgspec.toml.decode(path.read_bytes(), type=_Project).tool if path.exists() else Tools()
