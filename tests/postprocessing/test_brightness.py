"""Tissue that only a coil makes bright, and lesions that are bright anyway."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from anomri.postprocessing import SegmentationState, StepMap
from anomri.postprocessing.brightness import share_bright_without_field
from anomri.postprocessing.combination import add_if_no_mass
from anomri.scan import AnomalyMap, Grid, Mask, Scan, Threshold

SHAPE, SLOPE = (40, 44, 40), 0.02  # per mm: 1.5 times as bright over 20 mm


@dataclass(frozen=True)
class Head:
    scan: Scan
    lesion: Mask


@pytest.fixture
def head() -> Head:
    """A brain that is brighter towards its lower end, with a lesion in its upper half."""
    mm = np.indices(SHAPE)
    offset = (mm - np.reshape(SHAPE, (3, 1, 1, 1)) / 2) / np.reshape([18, 20, 18], (3, 1, 1, 1))
    brain = np.asarray((offset**2).sum(axis=0) < 1)
    lesion = np.zeros(SHAPE, bool)
    lesion[14:20, 18:24, 24:30] = True
    noise = np.random.default_rng(0).normal(1, 0.05, SHAPE)
    image = np.where(brain, noise * np.exp(-SLOPE * mm[2]) * (1 + 0.8 * lesion), 0)
    grid = Grid(shape=SHAPE, affine=np.eye(4))
    scan = Scan(
        subject="a",
        label="sub-a",
        image=image[None].astype(np.float32),
        contrasts=("flair",),
        brain=brain,
        grid=grid,
        native=grid,
    )
    return Head(scan, lesion)


def test_the_largest_lesion_counts(head: Head) -> None:
    lower = head.scan.brain & (np.arange(40) < 12)
    assert share_bright_without_field(head.scan, lower, 3) < 0.02
    assert share_bright_without_field(head.scan, head.lesion, 3) > 0.9
    assert share_bright_without_field(head.scan, lower | head.lesion, 3) < 0.02


@pytest.mark.parametrize(
    ("least", "probability", "is_mass"),
    [(0.0, 0.0, True), (0.05, 0.0, False), (0.05, 0.3, False), (0.05, 0.5, True)],
)
def test_what_only_the_coil_makes_bright_is_no_mass_unless_the_network_agrees(
    head: Head, *, least: float, probability: float, is_mass: bool
) -> None:
    anomaly = AnomalyMap(
        scan=head.scan, values=head.scan.image, reconstruction=head.scan.image, score="residual"
    )
    likely = replace(anomaly, values=np.full_like(head.scan.image, probability))
    first = SegmentationState.segmented(anomaly, head.scan.brain & (np.arange(40) < 12))
    small = replace(first, mask=head.lesion, margin=head.scan.image[0])
    second = StepMap(
        "b",
        {"a": anomaly, "p": likely},
        lambda _: Threshold(value=3, rule="fixed"),
        lambda _: small,
    )
    made = add_if_no_mass(
        first,
        second,
        min_mass_radius_mm=4,
        replace_first=True,
        min_bright_fraction=least,
        probability_map="p",
        min_mean_probability=0.4,
    )
    np.testing.assert_array_equal(made.mask, first.lesion if is_mass else head.lesion)
    assert made.margin is (None if is_mass else small.margin)
