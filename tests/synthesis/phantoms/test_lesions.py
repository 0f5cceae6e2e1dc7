from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anomri.synthesis.phantoms.anatomy import Anatomy, Atlas, draw_anatomy
from anomri.synthesis.phantoms.lesions import (
    NUMBERS,
    GliomaPlan,
    Lesion,
    grow_glioma,
    grow_white_matter_lesions,
)
from anomri.synthesis.phantoms.signal import EDEMA, ENHANCING, NECROSIS, paint

ML = 4.0**3 / 1000


@pytest.fixture(scope="module", params=range(4))
def glioma(request: pytest.FixtureRequest, atlas: Atlas) -> tuple[GliomaPlan, Anatomy, Lesion]:
    """A plan, the brain pushed aside by it, and what grew."""
    rng = np.random.default_rng(request.param)
    plan = GliomaPlan.draw(rng, atlas)
    person = draw_anatomy(rng, atlas, spacing_mm=4.0, mass=plan.mass)
    return plan, person, grow_glioma(rng, person, plan)


def test_volumes_follow_the_plan(glioma: tuple[GliomaPlan, Anatomy, Lesion]) -> None:
    plan, _, lesion = glioma
    assert 20 < plan.whole_ml < 120
    assert (lesion.truth > 0).sum() * ML == pytest.approx(plan.whole_ml, rel=0.03)
    core = np.isin(lesion.truth, (NUMBERS[NECROSIS], NUMBERS[ENHANCING]))
    assert core.sum() * ML == pytest.approx(plan.core_ml, rel=0.03)
    assert set(np.unique(lesion.truth)) == {0, 1, 2, 4}


def test_it_lies_in_the_brain_and_out_of_the_fluid(
    glioma: tuple[GliomaPlan, Anatomy, Lesion],
) -> None:
    _, person, lesion = glioma
    ill = lesion.truth > 0
    assert person.brain[ill].all()
    assert person.fluid[ill].max() < 0.6


def test_edema_prefers_white_matter(glioma: tuple[GliomaPlan, Anatomy, Lesion]) -> None:
    """More white matter than in the tissue as near to the core."""
    _, person, lesion = glioma
    edema = lesion.truth == NUMBERS[EDEMA]
    core = np.isin(lesion.truth, (NUMBERS[NECROSIS], NUMBERS[ENHANCING]))
    distance = np.where(person.brain & ~core, ndimage.distance_transform_edt(~core), np.inf)
    ball = distance <= np.sort(distance.ravel())[edema.sum()]
    assert person.white[edema].mean() > person.white[ball].mean() + 0.05


def test_it_is_no_ball(glioma: tuple[GliomaPlan, Anatomy, Lesion]) -> None:
    _, _, lesion = glioma
    ill = lesion.truth > 0
    index = np.argwhere(ill)
    radius = (3 * ill.sum() / (4 * np.pi)) ** (1 / 3)
    within = np.linalg.norm(index - index.mean(axis=0), axis=1) <= radius
    assert within.mean() < 0.92


def test_the_rim_encloses_the_necrosis(glioma: tuple[GliomaPlan, Anatomy, Lesion]) -> None:
    _, _, lesion = glioma
    outer = ~np.isin(lesion.truth, (NUMBERS[NECROSIS], NUMBERS[ENHANCING]))
    depth = ndimage.distance_transform_edt(~outer)
    necrosis, rim = (depth[lesion.truth == NUMBERS[name]] for name in (NECROSIS, ENHANCING))
    assert rim.mean() < necrosis.mean()


def test_flair_shows_the_edema_and_t1ce_the_rim(
    glioma: tuple[GliomaPlan, Anatomy, Lesion],
) -> None:
    _, person, lesion = glioma
    flair, t1ce = (
        paint(np.random.default_rng(0), person, lesion.fractions, name)
        for name in ("flair", "t1ce")
    )
    edema = lesion.truth == NUMBERS[EDEMA]
    rim = lesion.truth == NUMBERS[ENHANCING]
    healthy = person.brain & (lesion.truth == 0)
    assert np.median(flair[edema]) > np.quantile(flair[healthy], 0.9)
    assert np.median(t1ce[rim]) > np.quantile(t1ce[healthy], 0.9)


def test_edema_fades_out_and_fractions_are_fractions(
    glioma: tuple[GliomaPlan, Anatomy, Lesion],
) -> None:
    for fraction in glioma[2].fractions.values():
        assert fraction.min() >= 0
        assert fraction.max() <= 1 + 1e-6
    edema = glioma[2].fractions[EDEMA]
    assert ((edema > 0.05) & (edema < 0.95)).mean() > 1e-3


def test_places_differ(atlas: Atlas) -> None:
    plans = [GliomaPlan.draw(np.random.default_rng(seed), atlas) for seed in range(20)]
    centres = np.stack([plan.mass.centre_mm for plan in plans])
    assert (centres[:, 0] > 0).any()
    assert (centres[:, 0] < 0).any()
    assert centres.std(axis=0).min() > 8


@pytest.mark.parametrize("seed", range(4))
def test_white_matter_lesions_are_small_many_and_near_the_ventricles(
    anatomy: Anatomy, seed: int
) -> None:
    lesion = grow_white_matter_lesions(np.random.default_rng(seed), anatomy)
    ill = lesion.truth > 0
    assert set(np.unique(lesion.truth)) == {0, 2}
    assert 0.3 < ill.sum() * ML < 30
    assert ndimage.label(ill)[1] >= 3
    distance = ndimage.distance_transform_edt(anatomy.ventricles < 0.5, sampling=4.0)
    white = anatomy.white > 0.6
    assert distance[ill].mean() < distance[white].mean()
    assert anatomy.white[ill].min() > 0.35
