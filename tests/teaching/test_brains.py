from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from anomri.errors import UsageError
from anomri.teaching import BrainLesson, train_brain
from anomri.teaching.brains import loss
from anomri.teaching.heads import read_heads, split


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two round heads at 4 mm, on disk as the real ones are."""
    root = tmp_path_factory.mktemp("heads")
    index = np.indices((40, 50, 44)).astype(float) - np.array([20, 25, 22])[:, None, None, None]
    for number, size in enumerate((15, 17)):
        radius = np.sqrt((index**2).sum(axis=0)) / size
        scan = np.select([radius < 1, radius < 1.1, radius < 1.25], [60.0, 5.0, 120.0], 0.0)
        brain = (radius < 1).astype(np.uint8)
        affine = np.diag([4.0, 4, 4, 1])
        for name, values in (
            (f"t1/h{number}_T1", scan),
            (f"dlmuse_seg/h{number}_T1_DLMUSE", brain),
        ):
            path = root / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(values.astype(np.float32), affine), path)
    return root


def test_a_stopped_training_ends_as_an_uninterrupted_one(folder: Path, tmp_path: Path) -> None:
    whole = train_brain(folder, tmp_path / "whole", BrainLesson(steps=4, every=4))
    train_brain(folder, tmp_path / "parts", BrainLesson(steps=4, every=2), stop=2)
    parts = train_brain(folder, tmp_path / "parts", BrainLesson(steps=4, every=2))
    one, two = load_file(whole), load_file(parts)
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(weight, two[name])


def test_a_folder_without_heads_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dlmuse_seg"):
        next(read_heads(tmp_path))


def test_labels_that_lie_otherwise_on_disk_are_laid_onto_their_scan(tmp_path: Path) -> None:
    scan = np.random.default_rng(0).random((6, 7, 8), dtype=np.float32)
    labels = np.zeros(scan.shape, np.uint8)
    labels[1, 2, 3] = 51
    one = nib.Nifti1Image(scan, np.diag([2.0, 2, 2, 1]))
    other = nib.Nifti1Image(labels, one.affine).as_reoriented(np.array([[0, -1], [1, -1], [2, 1]]))
    for number in range(2):
        for image, name in ((one, f"t1/h{number}_T1"), (other, f"dlmuse_seg/h{number}_T1_DLMUSE")):
            path = tmp_path / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(image, path)
    for _, head in read_heads(tmp_path):
        assert np.argwhere(head.anatomy).tolist() == [[1, 2, 3]]


def test_every_sixth_head_is_held_out() -> None:
    names = [f"h{number:02d}" for number in range(24)]
    taught, held = split(dict.fromkeys(names))
    assert list(held) == ["h05", "h11", "h17", "h23"]
    assert sorted([*taught, *held]) == names


def test_the_loss_of_even_odds_is_worked_by_hand() -> None:
    """At p = 0.5 for 8 voxels, 2 of them brain: ln 2 + 1 - 2·(0.5·2) / (4 + 2)."""
    brain = torch.zeros(1, 1, 2, 2, 2)
    brain[0, 0, 0, 0] = 1
    assert float(loss(torch.zeros_like(brain), brain)) == pytest.approx(np.log(2) + 1 - 2 / 6)
