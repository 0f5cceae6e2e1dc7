"""Training on label-free masks: pasted lesions, weights of doubtful scans, resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anomri.errors import DamagedFile
from anomri.models import FoldedSegmenter
from anomri.training import (
    AdaptationSchedule,
    Deadline,
    Example,
    read_example,
    train_fold,
    write_example,
)
from anomri.training.adaptation.batches import draw_batch
from anomri.training.adaptation.cross_fitting import loss
from anomri.training.adaptation.pasting import with_pasted_lesion

SIDE = 20
SCHEDULE = AdaptationSchedule(steps=3, warmup=1, batch=2, shape=(16, 16, 16), validation_interval=1)


def example(
    lesion: tuple[slice, slice, slice], *, level: float, weight: float = 1.0, seed: int = 0
) -> Example:
    """A brain of noise in FLAIR and T1CE, with a box that is brighter towards the right."""
    rng = np.random.default_rng(seed)
    brain = np.zeros((SIDE,) * 3, bool)
    brain[1:-1, 1:-1, 1:-1] = True
    regions = np.zeros((3, *brain.shape), bool)
    regions[(0, *lesion)] = True
    image = np.zeros((4, *brain.shape), np.float32)
    image[:2] = rng.normal(0, 0.1, (2, *brain.shape)) * brain
    image[0][regions[0]] = level + np.indices(brain.shape)[0][regions[0]]
    return Example(
        image=image, brain=brain, regions=regions, doubtful=regions[0].copy(), weight=weight
    )


RECIPIENT = example((slice(3, 7), slice(3, 7), slice(3, 7)), level=5.0, seed=1)
DONOR = example((slice(10, 17), slice(9, 14), slice(12, 16)), level=9.0, seed=2)


def network() -> FoldedSegmenter:
    torch.manual_seed(0)
    return FoldedSegmenter(channels=4, size=SCHEDULE.shape, filters=8)


@pytest.mark.parametrize("seed", range(4))
def test_a_pasted_lesion_keeps_its_geometry(seed: int) -> None:
    """Its voxels have the shape, the order and about the level of the donor's, or are mirrored."""
    pasted = with_pasted_lesion(RECIPIENT, [DONOR], np.random.default_rng(seed))
    added = pasted.lesions & ~RECIPIENT.lesions
    i, j, k = (np.flatnonzero(added.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    assert (len(i), len(j), len(k)) == (7, 5, 4)
    assert added.sum() == DONOR.lesions.sum()
    middle = pasted.image[0][added].reshape(7, 5, 4)[2:-2, 2, 1]  # beyond the blended edge
    wanted = 9 + np.arange(12, 15)
    assert np.allclose(middle, wanted, rtol=0.1) or np.allclose(middle[::-1], wanted, rtol=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_pasted_into_a_lesion(seed: int) -> None:
    pasted = with_pasted_lesion(RECIPIENT, [DONOR], np.random.default_rng(seed))
    np.testing.assert_array_equal(
        pasted.image[:, RECIPIENT.doubtful], RECIPIENT.image[:, RECIPIENT.doubtful]
    )
    assert (pasted.lesions & RECIPIENT.doubtful == RECIPIENT.lesions).all()
    crowded = replace(RECIPIENT, doubtful=RECIPIENT.brain)
    assert with_pasted_lesion(crowded, [DONOR], np.random.default_rng(seed)) is crowded


def test_only_confident_lesions_seen_in_all_contrasts_are_pasted() -> None:
    rng = np.random.default_rng(0)
    doubtful = replace(DONOR, weight=0.5)
    assert with_pasted_lesion(RECIPIENT, [doubtful], rng) is RECIPIENT
    flair_alone = replace(DONOR, image=DONOR.image * np.array([1, 0, 0, 0])[:, None, None, None])
    assert with_pasted_lesion(RECIPIENT, [flair_alone], rng) is RECIPIENT


def test_a_doubtful_scan_counts_less() -> None:
    """Of two equal images, the gradient of the one with a quarter of the weight is a quarter."""
    image, regions, _ = draw_batch([DONOR], batch=1, shape=SCHEDULE.shape, pasted=0, seed=[1])
    model = network().eval()
    gradients = []
    for weight in (1.0, 0.25):
        model.zero_grad()
        torch.autograd.backward(loss(model, image, regions, torch.tensor([weight])))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    torch.testing.assert_close(gradients[1], gradients[0] / 4)


def test_weights_of_a_batch_are_those_of_its_scans() -> None:
    light = replace(DONOR, weight=0.25)
    weights = draw_batch([light], batch=2, shape=SCHEDULE.shape, pasted=0, seed=[0])[2]
    assert weights.tolist() == [0.25, 0.25]


def test_a_stopped_teaching_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    examples = [RECIPIENT, DONOR]
    whole = train_fold(network, examples, tmp_path / "whole", SCHEDULE)
    train_fold(network, examples, tmp_path / "parts", SCHEDULE, stop=2)
    parts = train_fold(network, examples, tmp_path / "parts", SCHEDULE)
    assert parts.step == whole.step == 3
    for name, weight in whole.average.items():
        torch.testing.assert_close(parts.average[name], weight, rtol=0, atol=0)


def test_at_the_deadline_what_was_learnt_is_kept(tmp_path: Path) -> None:
    state = train_fold(
        network, [RECIPIENT], tmp_path / "state", SCHEDULE, deadline=Deadline.after(0)
    )
    assert state.step == 1
    assert (tmp_path / "state").is_file()


def test_an_example_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "example.npz"
    write_example(path, DONOR)
    again = read_example(path)
    np.testing.assert_array_equal(again.image, DONOR.image)
    np.testing.assert_array_equal(again.regions, DONOR.regions)
    assert again.weight == DONOR.weight
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DamagedFile, match=r"example\.npz"):
        read_example(path)
