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
# Look their exports up themselves: the first has a version, the second must answer signals at once.
OTHER = {SOURCE / "__init__.py", SOURCE / "cli" / "__init__.py"}
# All that a package holds whose exports are imported when they are used: its stub lists them.
LAZY = """
import lazy_loader
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
"""


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import from anomri in a file."""
    inside = ".".join(path.relative_to(SOURCE.parent).parent.parts) if path.suffix == ".pyi" else ""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, (inside * node.level, node.module)))
            if module.startswith("anomri."):
                yield from ((module, alias.name) for alias in node.names)


def exports_file(folder: Path) -> Path:
    """Return the file that lists what a package exports."""
    stub = folder / "__init__.pyi"
    return stub if stub.exists() else folder / "__init__.py"


def exports_of(package: str) -> dict[str, str]:
    """Return the names that a package exports, with the module that each comes from."""
    return {name: module for module, name in imports_of(exports_file(SOURCE / package))}


def test_the_top_level_is_small() -> None:
    entries = [path for path in SOURCE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 21, sorted(path.name for path in entries)


def test_a_module_name_occurs_in_two_packages_at_most() -> None:
    names = Counter(path.name for path in SOURCE.rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 2] == []


def test_packages_hold_exports_only() -> None:
    for path in sorted(set(SOURCE.rglob("__init__.py")) - OTHER):
        stub = exports_file(path.parent)
        if stub != path:
            body = ast.parse(path.read_text("utf-8")).body
            assert _is_docstring(body[0]), path
            assert [ast.unparse(node) for node in body[1:]] == LAZY.strip().splitlines(), path
        for node in ast.parse(stub.read_text("utf-8")).body:
            exports = isinstance(node, ast.ImportFrom | ast.Assign) or _is_docstring(node)
            assert exports, f"{path.relative_to(ROOT)}, line {node.lineno}: expected exports only"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_list_what_they_import(package: str) -> None:
    tree = ast.parse(exports_file(SOURCE / package).read_text("utf-8"))
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
