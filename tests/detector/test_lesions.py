"""The network that ships: its weights, missing contrasts, and lesions that nobody drew for it."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from anomri.datasets import find
from anomri.detector import Detector, load
from anomri.errors import MissingContrast, RecipeError, UsageError
from anomri.recipe import Recipe
from anomri.scan import Scan, ScanFiles
from anomri.synthesis import make_phantoms

WEIGHTS = resources.files("anomri.models") / "pretrained"


@pytest.fixture(scope="module")
def lesions() -> Detector:
    return load("lesions", device="cpu")


@pytest.fixture(scope="module")
def glioma(tmp_path_factory: pytest.TempPathFactory) -> ScanFiles:
    cohort = make_phantoms(
        tmp_path_factory.mktemp("cohort"), healthy=0, gliomas=1, lesions=0, spacing_mm=3.0
    )
    return find(cohort).scans[0]


def test_the_weights_are_those_of_the_card(lesions: Detector) -> None:
    card = json.loads((WEIGHTS / "lesions.json").read_text("utf-8"))
    digest = hashlib.sha256((WEIGHTS / "lesions.safetensors").read_bytes()).hexdigest()
    assert digest == card["sha256"]
    assert lesions.weights_hash == digest[:16]


def test_it_finds_the_tumour_of_a_phantom(lesions: Detector, glioma: ScanFiles) -> None:
    found = lesions.detect_scan(lesions.prepare(glioma))
    scan = found.anomaly.scan
    assert scan.truth is not None
    truth = scan.truth > 0
    overlap = 2 * np.sum(found.mask & truth) / (found.mask.sum() + truth.sum())
    assert overlap > 0.5
    assert not found.mask[~scan.brain].any()


def test_regions_are_named_only_where_contrast_medium_was_seen(
    lesions: Detector, glioma: ScanFiles
) -> None:
    everything = lesions.detect_scan(lesions.prepare(glioma))
    flair = {"flair": glioma.contrasts["flair"]}
    alone = lesions.detect(dict(flair), name="alone").detection
    assert alone.regions is None
    assert everything.regions is not None
    assert set(np.unique(everything.regions)) <= {0, 1, 2, 4}


def test_the_contrast_that_is_not_optional_must_be_there(
    lesions: Detector, glioma: ScanFiles
) -> None:
    with pytest.raises(MissingContrast, match="flair"):
        lesions.detect({"t1ce": glioma.contrasts["t1ce"]}, name="no_flair")


def test_a_missing_contrast_is_zero_in_its_place(ball_scan: Scan) -> None:
    both = ball_scan.select(("flair", "t1ce"), ("t1ce",))
    assert both.contrasts == ("flair", "t1ce")
    np.testing.assert_array_equal(both.image[0], ball_scan.image[0])
    assert not both.image[1].any()
    assert both.lacks_contrast_medium
    assert not ball_scan.lacks_contrast_medium
    with pytest.raises(UsageError, match="t1ce"):
        ball_scan.select(("flair", "t1ce"))


def test_the_first_contrast_cannot_be_optional() -> None:
    with pytest.raises(RecipeError, match="optional"):
        Recipe.parse("name: x\nfamily: vae\noptional: [flair]\n", origin="x.yaml")


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(Recipe.load("lesions").to_yaml())
    with pytest.raises(UsageError, match=r"weights\.safetensors"):
        load(tmp_path)
