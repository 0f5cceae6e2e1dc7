"""One public door: what `anomri` exports, and nothing else."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib.metadata import version

import pytest

import anomri

CLASSES = sorted(set(anomri.__all__) - {"__version__"})


def test_every_public_name_is_exported_and_there() -> None:
    assert dir(anomri) == sorted(anomri.__all__)
    assert all(getattr(anomri, name) is not None for name in anomri.__all__)
    assert anomri.__version__ == version("anomri")


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_name_comes_from_anomri_and_has_an_example_that_runs(name: str) -> None:
    member = getattr(anomri, name)
    assert member.__module__.startswith("anomri.")
    found = doctest.DocTestFinder().find(member, name, module=sys.modules[member.__module__])
    assert any(test.examples for test in found), f"{name}: expected an example in its docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="segment"):
        anomri.segment  # noqa: B018


def test_importing_anomri_imports_nothing_heavy() -> None:
    code = "import sys, anomri; sys.exit(any(n in sys.modules for n in ('torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
