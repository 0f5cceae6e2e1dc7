"""The model that `anomri detect` uses when none is named: with FLAIR alone, and with T1CE."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from anomri import load
from anomri.cli.options import ModelOptions
from anomri.detector import Detector
from anomri.errors import ScanError
from anomri.postprocessing.regions import CORE_MM, SMALLEST_RIM_ML
from anomri.preprocessing import prepare_images
from anomri.recipe import CombinedRecipe, Overrides, Recipe, Step, load_recipe
from anomri.scan import ADD_IF_NO_MASS, NAME_REGIONS, NoteKind

SHAPE, SPACING = (80, 96, 60), (2.0, 2.0, 2.0)
CENTRE, EDEMA, RIM, TWIN = (22, 48, 30), (30, 48, 30), (27, 48, 30), (57, 48, 30)


@pytest.fixture
def patient(tmp_path: Path) -> dict[str, Path]:
    """A brain of noise with a ball of edema around a ball of core with an enhancing rim."""
    place = np.indices(SHAPE) - np.array([40, 48, 30])[:, None, None, None]
    brain = np.square(place / np.array([34, 42, 26])[:, None, None, None]).sum(0) < 1
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 1.5) * 8
    away = np.linalg.norm(np.indices(SHAPE) - np.array(CENTRE)[:, None, None, None], axis=0)
    flair = 20 + noise + 30 * (away < 10) * (away > 6)
    t1ce = 20 + noise + 40 * (away <= 6) * (away > 4)
    files = {}
    for name, image in (("flair", flair), ("t1ce", t1ce)):
        files[name] = tmp_path / f"{name}.nii.gz"
        values = np.where(brain, image, 0).astype(np.float32)
        nib.save(nib.Nifti1Image(values, np.diag([*SPACING, 1.0])), files[name])
    return files


def test_it_is_what_detect_uses() -> None:
    assert ModelOptions().model == "default"


def test_flair_alone_gives_a_mask_without_regions(patient: dict[str, Path]) -> None:
    result = load("default", device="cpu").detect({"flair": patient["flair"]})
    mask = np.asarray(result.mask.dataobj) > 0
    assert mask[EDEMA]
    assert not mask[TWIN]
    assert result.labels is None
    assert all(0 < (one.probability_real or 0) < 1 for one in result.findings)


def test_t1ce_adds_the_necrosis_and_names_the_regions(patient: dict[str, Path]) -> None:
    result = load("default", device="cpu").detect(patient)
    assert result.labels is not None
    labels = np.asarray(result.labels.dataobj)
    assert labels[CENTRE] == 1  # as dark as the brain in both contrasts, but enclosed
    assert labels[RIM] == 4
    assert labels[EDEMA] == 2


def test_without_flair_it_says_so(patient: dict[str, Path]) -> None:
    with pytest.raises(ScanError, match="flair"):
        load("default", device="cpu").detect({"t1ce": patient["t1ce"]})


def test_a_network_decides_near_the_border_of_a_mass_only(patient: dict[str, Path]) -> None:
    model, plain = load("default", device="cpu"), load("intensity", device="cpu")
    assert "network" in model.map_models
    grown, start = (
        np.asarray(one.detect({"flair": patient["flair"]}).mask.dataobj) > 0
        for one in (model, plain)
    )
    inner = ndimage.binary_erosion(start, iterations=2)
    assert not (inner & ~grown).any()
    assert start.sum() < grown.sum() < 1.3 * start.sum()


def test_a_map_that_no_step_asks_for_is_not_made(patient: dict[str, Path]) -> None:
    """Small lesions are not looked for where brightness shows a mass."""
    image = nib.nifti1.load(patient["flair"])
    away = np.linalg.norm(np.indices(SHAPE) - np.array(CENTRE)[:, None, None, None], axis=0)
    values = np.asarray(image.dataobj)
    solid = nib.Nifti1Image(values + 30 * (away <= 6) * (values > 0), image.affine)
    model = load("default", device="cpu")
    scan = prepare_images({"flair": solid}, model.recipe.preparation, ("flair",))
    maps = model.maps(scan)
    assert set(maps) == {"brightness", "contrasts", "probability", "network"}  # no T1CE
    model.segment(maps)
    assert set(maps.made) == {"brightness", "contrasts", "probability"}


def test_without_a_mass_small_lesions_replace_what_brightness_found(
    tmp_path: Path, patient: dict[str, Path]
) -> None:
    """A ball of 4 mm: what a plain cut marks, noise and all, is the result."""
    image = nib.nifti1.load(patient["flair"])
    away = np.linalg.norm(np.indices(SHAPE) - np.array(CENTRE)[:, None, None, None], axis=0)
    both = np.asarray(image.dataobj)
    flair = np.where(away < 12, both[::-1], both) + 40 * (away < 2)
    file = tmp_path / "small.nii.gz"
    nib.save(nib.Nifti1Image(flair.astype(np.float32), image.affine), file)
    model = load("default", device="cpu")
    cut = Step(name="fixed", options={"value": 1.5})
    recipe = Recipe.load("intensity").with_changes(threshold=cut, decide=Step(name="above"))
    plain = model.first.with_recipe(recipe)
    maps = {**model.map_models, "network": plain}
    result = Detector(maps, model.steps).detect({"flair": file})
    parts = (Detector({"plain": plain}), load("intensity"))
    one, two = (np.asarray(part.detect({"flair": file}).mask.dataobj) > 0 for part in parts)
    assert (one & ~two).any()
    np.testing.assert_array_equal(np.asarray(result.mask.dataobj) > 0, one)
    assert NoteKind.NO_MASS in {note.kind for note in result.detection.anomaly.scan.notes}
    small = result.detection.provenance.map_of(ADD_IF_NO_MASS)
    assert small is not None
    assert small.threshold is not None


def test_a_chosen_method_is_the_users() -> None:
    overrides = Overrides(decide="above")
    maps = load("default", device="cpu", overrides=overrides).map_models
    assert list(maps) == ["brightness", "enhancement"]


def test_maps_with_the_same_weights_share_a_network() -> None:
    models = load("default", device="cpu").map_models
    assert models["probability"].networks[0] is models["network"].networks[0]
    assert models["probability"].networks[0] is not models["contrasts"].networks[0]


def test_growth_sees_the_core_that_is_named() -> None:
    """The constants of `enclosed_core` are those of the recipe's last step."""
    recipe = load_recipe("default")
    assert isinstance(recipe, CombinedRecipe)
    (names,) = (one.step.options for one in recipe.segmentation if one.step.name == NAME_REGIONS)
    assert names["smallest_ml"] == SMALLEST_RIM_ML
    assert names["half_maximum_mm"] == names["closing_mm"] == CORE_MM
