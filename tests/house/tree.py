"""The modules of a checkout, as far as their source text tells."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PACKAGES = ("proxy", "pipeline")
"""The packages that are measured: what is shipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function or method; `lines` are those from `def` to its end, without the docstring."""

    name: str
    module: str
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A file: its dotted name, the package it lies in, what it defines, every dotted name that it may import."""

    name: str
    package: str
    is_package: bool
    lines: int
    classes: tuple[str, ...]
    functions: tuple[Function, ...]
    imports: tuple[str, ...]

    @property
    def stem(self) -> str:
        """Return the last part of its name."""
        return self.name.rpartition(".")[2]


def read_tree(root: Path, packages: Sequence[str] = PACKAGES) -> tuple[Module, ...]:
    """Read every module of the packages below `root`, sorted by name."""
    files = (path for package in packages for path in sorted((root / package).rglob("*.py")))
    return tuple(sorted((_module(path, root) for path in files), key=lambda module: module.name))


def _module(path: Path, root: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(path))
    parts = path.relative_to(root).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    package = ".".join(parts[:-1])
    return Module(
        name=name,
        package=package,
        is_package=is_package,
        lines=len(text.splitlines()),
        classes=tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef)),
        functions=tuple(_functions(tree, name)),
        imports=tuple(_imports(tree, package)),
    )


def _functions(tree: ast.Module, module: str) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = _lines(node.body[0]) if ast.get_docstring(node) is not None else 0
            yield Function(name=node.name, module=module, lines=_lines(node) - docstring)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield what is imported, for type checkers too; `from a import b` may name the module `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, package)
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _source(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
