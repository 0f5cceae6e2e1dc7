"""deepbet's result does not depend on scale, offset, padding or single voxels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from anomri.errors import MissingPiece
from anomri.preprocessing.brain import deepbet
from anomri.preprocessing.brain.deepbet import (
    box_without_margin,
    clean_background,
    deepbet_brain,
)
from anomri.scan import Grid, Mask, Volume

Head = tuple[Volume, Mask, Grid]


def dice(a: Mask, b: Mask) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


@pytest.fixture(scope="module")
def found(head: Head) -> Mask:
    return deepbet_brain(head[0]).mask


def test_the_brain_of_a_head_is_found(head: Head, found: Mask) -> None:
    assert dice(found, head[1]) > 0.97


def with_spike(values: Volume) -> Volume:
    changed = values.copy()
    changed[1, 1, 1] = 1e6 * values.max()
    changed[2, 2, 2] = -0.3 * values.max()
    return changed * np.float32(1e-9)


def padded(values: Volume) -> Volume:
    margin = [(12, 0), (0, 9), (0, 14)]
    changed = np.pad(values + np.float32(10), margin, constant_values=-32768)
    changed[0, 0, 0] = values.max() / 10  # a stray voxel
    return changed


def test_too_little_memory_is_not_a_head_without_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Mock()
    networks.run_model.side_effect = torch.OutOfMemoryError
    monkeypatch.setattr(deepbet, "_networks", Mock(return_value=networks))
    with pytest.raises(torch.OutOfMemoryError):
        deepbet_brain(np.random.default_rng(0).random((9, 9, 9), np.float32))


def test_the_box_leaves_out_empty_layers_alone() -> None:
    volume = np.zeros((9, 8, 7), np.float32)
    assert box_without_margin(volume) == (slice(None),) * 3
    volume[2:6, 1:8, 3:6] = 5
    volume[0, 0, 0] = 9  # a stray voxel
    assert box_without_margin(volume) == (slice(2, 6), slice(1, 8), slice(3, 6))


@pytest.mark.parametrize("change", [with_spike, padded])
def test_scale_offset_padding_and_single_voxels_do_not_matter(
    head: Head, found: Mask, change: Callable[[Volume], Volume]
) -> None:
    changed = change(head[0])
    mask = deepbet_brain(changed).mask
    inside = mask if changed.shape == found.shape else mask[12:, :-9, :-14]
    assert np.count_nonzero(inside) == np.count_nonzero(mask)
    assert dice(inside, found) > 0.995


def test_ringing_below_zero_is_clipped_and_a_standardised_scan_is_not() -> None:
    values = np.abs(np.random.default_rng(0).normal(5, 1, (20, 20, 20))).astype(np.float32)
    ringing = values.copy()
    ringing.ravel()[::100] = -0.5
    assert clean_background(ringing).min() == 0
    standardised = values - values.mean()
    assert clean_background(standardised).min() == standardised.min()


def test_a_constant_far_below_the_rest_is_padding() -> None:
    values = np.random.default_rng(0).uniform(0, 1000, (20, 20, 20)).astype(np.float32)
    values[:, :, :10] = 5
    values[:, :, :2] += np.random.default_rng(1).uniform(0, 9, (20, 20, 2)).astype(np.float32)
    values[0] = -1024
    assert clean_background(values).min() >= 0


def test_without_foreground_the_mask_is_empty() -> None:
    assert not deepbet_brain(np.zeros((20, 20, 20), np.float32)).mask.any()


def test_a_network_file_with_another_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(MissingPiece, match="found none"):
        deepbet._verify(path, "0" * 64)
    path.write_bytes(b"network")
    with pytest.raises(MissingPiece, match="a different file"):
        deepbet._verify(path, "0" * 64)
    deepbet._verify(path, hashlib.sha256(b"network").hexdigest())
