"""Names that stand twice."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.house.tree import Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A name, and the modules that define it or are called so."""

    name: str
    modules: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(self.modules)}"


def repeated_classes(modules: Sequence[Module]) -> list[Repeated]:
    """Return the classes of one name that are defined in several modules."""
    return _repeated((name, module.name) for module in modules for name in module.classes)


def homonyms(modules: Sequence[Module]) -> list[Repeated]:
    """Return the modules of one file name; neither packages nor `__main__`."""
    return _repeated(
        (module.stem, module.name) for module in modules if not (module.is_package or module.stem.startswith("__"))
    )


def is_family(repeated: Repeated) -> bool:
    """Tell whether the modules lie in sibling packages of one package, as `stores.s3.store` and `stores.file.store`."""
    packages = [module.rpartition(".")[0] for module in repeated.modules]
    parents = {package.rpartition(".")[0] for package in packages}
    return len({*packages}) == len(packages) and len(parents) == 1 and parents != {""}


def _repeated(pairs: Iterable[tuple[str, str]]) -> list[Repeated]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in pairs:
        found[name].append(module)
    return [
        Repeated(name=name, modules=tuple(sorted(modules)))
        for name, modules in sorted(found.items())
        if len(modules) > 1
    ]
