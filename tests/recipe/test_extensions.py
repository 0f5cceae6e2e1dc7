"""Entries of a package outside of anomri, installed beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from anomri import experiments
from anomri.cli import app
from anomri.datasets import LAYOUTS, find
from anomri.errors import UsageError
from anomri.models import RECONSTRUCTORS, build
from anomri.recipe import Step, extensions
from anomri.scan import Scan
from anomri.scoring import SCORES, score_scan

MODULE = '''
import torch
from anomri.datasets.cases import Cases, Layout
from anomri.models import Reconstructor


class Constant(Reconstructor):
    """Reconstruct every image as one number."""

    def __init__(self, *, channels, size, value: float = 1.0):
        super().__init__(channels=channels, size=size)
        self.value = value

    def losses(self, batch):
        raise AssertionError("nothing is trained here")

    def reconstruct(self, images):
        return torch.full_like(images, self.value)


def squared(network, images, reconstruction, *, factor: float = 1.0):
    return factor * (images - reconstruction) ** 2


def gather(tree):
    cases = Cases(tree)
    for path in tree.files:
        cases.case(path.stem, path.stem, where=path.name).add("flair", path)
    return cases


LAYOUT = Layout("scanner7", "files called *.nii", lambda tree: False, gather)
'''
ENTRY_POINTS = """
[anomri.reconstructors]
constant = outside:Constant
vae = outside:Constant
broken = outside:Missing

[anomri.scores]
squared = outside:squared

[anomri.layouts]
scanner7 = outside:LAYOUT
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on the path, with the metadata that an installer writes."""
    place = tmp_path / "site"
    information = place / "outside-1.5.dist-info"
    information.mkdir(parents=True)
    (place / "outside.py").write_text(MODULE)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.5\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "outside", raising=False)
    return place


@pytest.mark.usefixtures("package")
def test_a_score_and_a_reconstructor_of_others_are_used_by_name(ball_scan: Scan) -> None:
    step = Step(name="constant", options={"value": 2.0})
    network = build(step, channels=1, size=())
    score = Step(name="squared", options={"factor": 3.0})
    maps = score_scan(network, ball_scan, score, device=torch.device("cpu"))
    inside = ball_scan.brain
    expected = 3 * (ball_scan.image[0] - 2) ** 2
    np.testing.assert_allclose(maps.values[0][inside], expected[inside], rtol=1e-4)


@pytest.mark.usefixtures("package")
def test_a_layout_of_others_is_used_by_name_only(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4))
    (tmp_path / "scans").mkdir()
    nib.save(image, tmp_path / "scans" / "a_flair.nii")
    assert find(tmp_path / "scans", "scanner7").layout == "scanner7"
    assert find(tmp_path / "scans").layout == "folder"


@pytest.mark.usefixtures("package")
def test_they_are_listed_with_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments.catalogue, "families", list)  # builds every network
    shown = CliRunner().invoke(app, ["models"], catch_exceptions=False).stdout
    for line in ("anomri.scores: squared", "anomri.layouts: scanner7"):
        assert f"{line} (package outside 1.5)" in shown
    assert "squared" in SCORES
    assert "scanner7" in LAYOUTS


@pytest.mark.usefixtures("package")
def test_names_of_anomri_stay_its_own() -> None:
    assert RECONSTRUCTORS["vae"].__module__ != "outside"


@pytest.mark.usefixtures("package")
def test_a_package_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(UsageError, match=r"broken: .* the package outside 1\.5"):
        RECONSTRUCTORS["broken"]


def test_without_other_packages_there_is_nothing() -> None:
    assert [found for found in extensions() if found.package.startswith("outside")] == []
    with pytest.raises(KeyError):
        RECONSTRUCTORS["constant"]
