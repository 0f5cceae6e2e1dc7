"""The level of a lesion in grey matter, in a brain whose tissues are those of the template."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anomri.preprocessing.template.template_anatomy import template_anatomy
from anomri.scan import Scan, Volume
from anomri.scoring.grey_matter import grey_matter_penalty


@pytest.fixture(scope="module")
def scan() -> Scan:
    template = template_anatomy()
    brain = template.grey + template.white > 0.5
    return Scan(
        subject="a",
        label="sub-a",
        image=np.where(brain, 1, 0).astype(np.float32)[None],
        contrasts=("flair",),
        brain=brain,
        grid=template.grid,
        native=template.grid,
        to_template=np.eye(4),
    )


@pytest.fixture(scope="module")
def values(scan: Scan) -> Volume:
    """Grey matter of 1 on average with a standard deviation of 0.8; white matter of 0."""
    drawn = np.random.default_rng(0).normal(1, 0.8, scan.brain.shape)
    return np.where(template_anatomy().grey > 0.5, drawn, 0).astype(np.float32)


def test_grey_matter_asks_for_more_and_white_matter_does_not(scan: Scan, values: Volume) -> None:
    """By hand: the median of 1 and four times 0.8 are 1.2 above a level of 3."""
    penalty = grey_matter_penalty(values, scan, sd=4, level=3)
    hippocampus, centrum_semiovale = (
        tuple(np.rint(np.linalg.inv(scan.affine) @ [*mm, 1]).astype(int)[:3])
        for mm in ((-26, -10, -20), (-26, -20, 34))
    )
    assert penalty[hippocampus] == pytest.approx(1.2, abs=0.15)
    assert penalty[centrum_semiovale] < 0.1
    assert penalty.max() == pytest.approx(1.2, abs=0.1)
    assert penalty.min() >= 0


def test_dark_grey_matter_makes_nothing_easier(scan: Scan, values: Volume) -> None:
    assert not grey_matter_penalty(values - 3, scan, sd=4, level=3).any()


def test_no_template_and_no_rule_mean_no_penalty(scan: Scan, values: Volume) -> None:
    for other, sd in ((replace(scan, to_template=None), 4.0), (scan, 0.0)):
        assert not grey_matter_penalty(values, other, sd=sd, level=3).any()
    small = replace(scan, brain=np.zeros_like(scan.brain))
    assert not grey_matter_penalty(values, small, sd=4, level=3).any()
