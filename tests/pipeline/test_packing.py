"""Packed models give what the run folder gives, and say no more than they should."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from anomri.detector import load
from anomri.errors import UsageError
from anomri.pipeline import calibrate, pack
from anomri.recipe import Recipe, recipe_to_prepare
from anomri.scan import Scan


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack("default", tmp_path_factory.mktemp("packed") / "default.zip")


def test_a_packed_model_detects_like_the_model(packed: Path, ball_scan: Scan) -> None:
    model, again = load("default", device="cpu"), load(packed, device="cpu")
    maps = model.maps(ball_scan)
    assert again.fingerprint == model.fingerprint
    np.testing.assert_array_equal(
        again.segment(again.maps(ball_scan)).mask, model.segment(maps).mask
    )


def test_its_recipe_prepares_scans(packed: Path) -> None:
    assert recipe_to_prepare(str(packed)) == recipe_to_prepare("default")


def test_the_shipped_weights_keep_their_licence(packed: Path, tmp_path: Path) -> None:
    with ZipFile(packed) as archive:
        assert json.loads(archive.read("model.json"))["licence"] == "CC-BY-SA-3.0"
        assert "IXI" in archive.read("LICENCE.md").decode()
        assert "not a medical device" in archive.read("README.md").decode()
    with pytest.raises(UsageError, match=r"CC-BY-SA-3\.0"):
        pack("lesions", tmp_path / "lesions.zip", licence="MIT")
    with pytest.raises(UsageError, match="--licence"):
        pack("intensity", tmp_path / "intensity.zip")
    with pytest.raises(UsageError, match=r"\.zip"):
        pack("lesions", tmp_path / "lesions.tar")
    assert list(tmp_path.iterdir()) == []


def test_names_of_subjects_are_not_passed_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text(Recipe.load("intensity").to_yaml())
    entry = {"value": 2.5, "rule": "healthy", "fitted_on": ["Anna", "Bert"]}
    entry |= {"false_positive_ml": 5.0, "false_positives": None}
    (run / "thresholds.json").write_text(json.dumps({"healthy": entry}))
    (run / "environment.json").write_text('{"host": "ward7"}')
    archive = pack(run, tmp_path / "model.zip", licence="CC-BY-4.0")
    with ZipFile(archive) as packed:
        everything = b"".join(packed.read(name) for name in packed.namelist())
        kept = json.loads(packed.read("thresholds.json"))["healthy"]
    assert kept == {**entry, "fitted_on": ["1", "2"]}
    assert all(word not in everything for word in (b"Anna", b"Bert", b"ward7"))


def test_a_packed_model_is_calibrated_into_a_run_folder(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):  # nothing prepared there; the archive itself was read
        calibrate(packed, tmp_path / "prepared", tmp_path / "run")
