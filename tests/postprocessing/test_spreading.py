"""A mass that grows on into its rim, and stops before it floods the brain."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.morphology import reconstruction
from tests.postprocessing.conftest import MakeCandidate

from anomri.postprocessing.candidate import Candidate
from anomri.postprocessing.spreading import _flood, spread

# Voxels of 1 ml: what lies side by side is counted by hand.
CUBE = (10.0, 10.0, 10.0)
OPTIONS = {"ml": 3, "share": 0.5, "step": 0.2, "leak": 0.25, "leak_ml": 2}


def row(make: MakeCandidate, values: list[float], lesion: int, **options: float) -> list[int]:
    """Spread the first ``lesion`` voxels of a row; return what is marked then."""
    mask = np.arange(len(values)) < lesion
    candidate = make(np.reshape(values, (-1, 1, 1)), spacing=CUBE)
    grown = spread(candidate.with_mask(mask.reshape(-1, 1, 1)), **{**OPTIONS, **options})
    return np.flatnonzero(grown.lesion.ravel()).tolist()


def test_a_mass_takes_in_what_fades_out_down_to_its_share(candidate_of: MakeCandidate) -> None:
    values = [4, 4, 4, 4, 3.5, 3.0, 2.5, 1.9, 3.0]
    assert row(candidate_of, values, 4) == [0, 1, 2, 3, 4, 5, 6]
    assert row(candidate_of, values, 4, share=0.7) == [0, 1, 2, 3, 4, 5]


def test_it_stops_one_step_before_a_leak(candidate_of: MakeCandidate) -> None:
    # At 2.75 four voxels join at once, more than 2 ml and more than a quarter of five.
    values = [4, 4, 4, 4, 3.5, 2.75, 2.75, 2.75, 2.75, 2.5]
    assert row(candidate_of, values, 4) == [0, 1, 2, 3, 4]
    assert row(candidate_of, values, 4, leak_ml=5) == list(range(10))
    assert row(candidate_of, values, 4, leak=1.5) == list(range(10))


def test_small_lesions_stay_as_they_are(candidate_of: MakeCandidate) -> None:
    assert row(candidate_of, [4, 4, 3.5, 3.0], 2) == [0, 1]


def test_what_no_mass_touches_is_not_reached(candidate_of: MakeCandidate) -> None:
    assert row(candidate_of, [4, 4, 4, 1.0, 3.9, 3.9], 3) == [0, 1, 2]


def test_a_leak_at_once_leaves_the_mass_alone(candidate_of: MakeCandidate) -> None:
    assert row(candidate_of, [4, 4, 4, 3.95, 3.95, 3.95, 3.95], 3) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_the_flood_is_the_greyscale_reconstruction(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(9, 8, 7)).astype(np.float32)
    brain = rng.random(values.shape) < 0.9
    candidate = Candidate(np.where(brain, values, 0).astype(np.float32), brain, CUBE, 1.0)
    masses = brain & (values > 1.5)
    ground = np.where(brain, candidate.values, -9)
    faces = np.zeros((3, 3, 3), bool)
    faces[1, 1, :] = faces[1, :, 1] = faces[:, 1, 1] = True
    expected = reconstruction(np.where(masses, ground, -9), ground, footprint=faces)
    found = _flood(candidate, masses)
    reached = brain & (expected > -9)
    np.testing.assert_allclose(found[reached], expected[reached], rtol=1e-6)
    assert (found[~reached] < candidate.values.min()).all()
