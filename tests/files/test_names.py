"""Names of files are spelled out in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import anomri
from anomri.files import names, result_names

SOURCE = Path(anomri.__file__).parent
HOMES = {Path(names.__file__), Path(result_names.__file__)}


def names_in(module: object) -> set[str]:
    """Return the file names that a module defines."""
    values = (value for key, value in vars(module).items() if key.isupper())
    return {value for value in values if isinstance(value, str) and "." in value}


def strings_in(path: Path) -> set[str]:
    """Return the text constants of a source file."""
    tree = ast.parse(path.read_text("utf-8"))
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def test_no_name_is_defined_twice() -> None:
    texts = [value for key, value in vars(names).items() if key.isupper()]
    assert len(texts) == len(set(texts)) > 20
    assert not names_in(names) & (names_in(result_names) - {result_names.KINDS, result_names.KEPT})


def test_other_modules_use_the_constants() -> None:
    known = names_in(names) | names_in(result_names)
    spelled = {
        f"{path.relative_to(SOURCE)}: {text}"
        for path in set(SOURCE.rglob("*.py")) - HOMES
        for text in strings_in(path) & known
    }
    assert not spelled


def test_maps_are_named_by_one_function() -> None:
    assert result_names.map_name("anomaly", "t1-ce") == "desc-anomaly_t1ce.nii.gz"
    composed = [
        str(path.relative_to(SOURCE))
        for path in set(SOURCE.rglob("*.py")) - HOMES
        if any(text.startswith(("desc-", "_desc-", "label-lesion")) for text in strings_in(path))
    ]
    assert composed == []
