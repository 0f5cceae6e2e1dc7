"""Synthetic heads with structure of their own, and lesions of known size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from anomri.longitudinal import TimePoint
from anomri.reporting import Record
from anomri.scan import Affine, Grid

SHAPE, MM = (56, 64, 52), 2.0
Ball = tuple[tuple[float, float, float], float]  # centre in mm from the middle, radius in mm
Heads = Callable[..., TimePoint]


@pytest.fixture(scope="session")
def head() -> Heads:
    """Return a function that images a head with some lesions in some position."""

    def image(
        balls: list[Ball],
        *,
        person: int = 0,
        moved: Affine | None = None,
        gain: float = 1.0,
        days: int | None = None,
        noise: int = 0,
    ) -> TimePoint:
        texture = np.random.default_rng(person).normal(size=SHAPE)
        smooth = ndimage.gaussian_filter(texture, 2.0)
        still = np.diag([MM, MM, MM, 1.0])
        still[:3, 3] = -MM * (np.array(SHAPE) - 1) / 2
        # The position in the head of each voxel of the scanner.
        index = np.moveaxis(np.indices(SHAPE, dtype=np.float64), 0, -1)
        place = index @ still[:3, :3].T + still[:3, 3]
        inverse = np.linalg.inv(np.eye(4) if moved is None else moved)
        place = place @ inverse[:3, :3].T + inverse[:3, 3]
        brain = ((place / np.array([42.0, 52.0, 38.0])) ** 2).sum(axis=-1) < 1
        where = np.moveaxis((place - still[:3, 3]) / MM, -1, 0)
        tissue = ndimage.map_coordinates(smooth / smooth.std(), where, order=1, mode="reflect")
        rng = np.random.default_rng(noise)
        lesion = np.zeros(SHAPE)
        for centre, radius in balls:
            distance = np.linalg.norm(place - np.array(centre), axis=-1)
            lesion = np.maximum(lesion, np.clip((radius - distance) / MM + 0.5, 0, 1))
        values = 100 + 10 * tissue + 60 * lesion + rng.normal(0, 2, SHAPE)
        numbers = np.asarray(ndimage.label(lesion >= 0.5)[0], np.int32)
        grid = Grid(shape=SHAPE, affine=still)
        return TimePoint(
            record=record_of(numbers, grid),
            contrast="flair",
            image=(gain * np.where(brain, values, 0)).astype(np.float32),
            grid=grid,
            brain=brain,
            lesions=numbers,
            native=grid,
            days=days,
        )

    return image


def record_of(numbers: NDArray[np.int32], grid: Grid) -> Record:
    """Return the record of lesions whose volumes are known to a twentieth."""
    sizes = np.bincount(numbers.ravel())[1:] * grid.voxel_ml
    findings = [
        {
            "number": number,
            "volume_ml": ml,
            "volume_range_ml": (0.95 * ml, 1.05 * ml),
            "centre_mm": (0.0, 0.0, 0.0),
            "peak": 5.0,
        }
        for number, ml in enumerate(sizes, start=1)
    ]
    return Record.model_validate(
        {
            "subject": "head",
            "label": "sub-head",
            "contrasts": ("flair",),
            "units": "sd",
            "threshold": {
                "value": 3.0,
                "rule": "fixed",
                "fitted_on": 0,
                "expected_false_positive_ml": None,
            },
            "lesion_volume_ml": float(sizes.sum()),
            "scan_score": 0.0,
            "highest_slice_score": 0.0,
            "findings": findings,
            "brain_volume_ml": 1000.0,
            "spacing_mm": grid.spacing,
        }
    )
