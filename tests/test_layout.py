"""The layout that ARCHITECTURE.md describes: packages, their exports, and who imports what."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "anomri"
PACKAGES = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
# Import lazily, so that a signal is answered before PyTorch is loaded.
LAZY = {SOURCE / "__init__.py", SOURCE / "cli" / "__init__.py"}


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import from anomri in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anomri."):
            yield from ((str(node.module), alias.name) for alias in node.names)


def exports_of(package: str) -> dict[str, str]:
    """Return the names that a package exports, with the module that each comes from."""
    return {name: module for module, name in imports_of(SOURCE / package / "__init__.py")}


def test_the_top_level_is_small() -> None:
    entries = [path for path in SOURCE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 21, sorted(path.name for path in entries)


def test_a_module_name_occurs_in_two_packages_at_most() -> None:
    names = Counter(path.name for path in SOURCE.rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 2] == []


def test_packages_hold_exports_only() -> None:
    for path in sorted(set(SOURCE.rglob("__init__.py")) - LAZY):
        for node in ast.parse(path.read_text("utf-8")).body:
            exports = isinstance(node, ast.ImportFrom | ast.Assign) or _is_docstring(node)
            assert exports, f"{path.relative_to(ROOT)}, line {node.lineno}: expected exports only"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_list_what_they_import(package: str) -> None:
    tree = ast.parse((SOURCE / package / "__init__.py").read_text("utf-8"))
    lists = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert package == "cli" or sorted(lists[0]) == sorted(exports_of(package)), package


@pytest.mark.parametrize("package", PACKAGES)
def test_other_packages_import_from_the_package_itself(package: str) -> None:
    for path in sorted((SOURCE / package).rglob("*.py")):
        for module, name in imports_of(path):
            parts = module.split(".")
            inside = parts[1] == package or len(parts) == 2 or parts[1] not in PACKAGES
            nested = parts[1] == "experiments" and len(parts) == 3  # packages of their own
            where = f"{path.relative_to(ROOT)}: {name} of {module}"
            assert inside or nested, f"{where}: import it from anomri.{parts[1]}"


def test_tests_and_benchmarks_import_exported_names_from_the_package() -> None:
    exports = {package: exports_of(package) for package in PACKAGES}
    for folder in ("tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for module, name in imports_of(path):
                package, *deeper = module.split(".")[1:]
                exported = deeper and exports.get(package, {}).get(name) == module
                assert not exported, (
                    f"{path.relative_to(ROOT)}: import {name} from anomri.{package}"
                )


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
