"""What a release says about itself: one version everywhere, and the licences of all it holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert citation["version"] == PROJECT["version"]
    assert newest is not None
    assert newest.group(1) in (PROJECT["version"], "Unreleased")


def test_every_licence_in_the_package_is_in_the_metadata() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*LICEN[CS]E*")}
    assert found | {"LICENSE"} <= set(PROJECT["license-files"])
    assert all((ROOT / file).is_file() for file in PROJECT["license-files"])


def test_what_broke_installations_has_an_upper_bound() -> None:
    extras = PROJECT["optional-dependencies"]
    needs = [*PROJECT["dependencies"], *extras["train"]]
    for name in ("torch", "monai", "lightning", "nilearn", "deepbet"):
        (line,) = (need for need in needs if re.match(rf"{name}\b", need))
        assert "<" in line, f"{line}: expected an upper bound"


def test_the_tested_set_holds_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    tested = {_name(line) for line in lines if "==" in line}
    extras = PROJECT["optional-dependencies"]
    needs = [*PROJECT["dependencies"], *extras["train"], *extras["dicom"], *extras["dask"]]
    assert {_name(need) for need in needs} - tested == set()


def _name(requirement: str) -> str:
    """Return the normalised name of a requirement."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()
