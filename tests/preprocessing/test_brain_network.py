from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from anomri.errors import MissingPiece
from anomri.preprocessing import brain_network as module
from anomri.preprocessing.brain_network import (
    SHAPE,
    BrainNetwork,
    _fold,
    _unfold,
    brain_network,
    normalise,
)


def test_unfolding_undoes_folding() -> None:
    images = torch.arange(2 * 4 * 6 * 8.0).view(2, 1, 4, 6, 8)
    assert _fold(images).shape == (2, 8, 2, 3, 4)
    torch.testing.assert_close(_unfold(_fold(images)), images)


def test_a_block_of_voxels_becomes_the_channels_of_one() -> None:
    images = torch.zeros(1, 1, 4, 4, 4)
    images[0, 0, 2, 3, 0] = 1  # block (1, 1, 0), voxel (0, 1, 0) in it
    assert _fold(images).nonzero().tolist() == [[0, 0b010, 1, 1, 0]]


def test_there_is_a_logit_for_every_voxel() -> None:
    with torch.inference_mode():
        logits = BrainNetwork()(torch.zeros(1, 1, 16, 32, 16))
    assert logits.shape == (1, 1, 16, 32, 16)
    assert all(n % 16 == 0 for n in SHAPE)


def test_what_was_measured_goes_from_zero_to_one() -> None:
    image = np.zeros((10, 10, 10), np.float32)
    image[2:8, 2:8, 2:8] = np.linspace(10, 50, 216).reshape(6, 6, 6)
    scaled = normalise(image)
    assert scaled.max() == pytest.approx(50 / np.percentile(image[image > 0], 99))
    assert (scaled[image == 0] == 0).all()
    np.testing.assert_allclose(normalise(image * 7), scaled, rtol=1e-5)


def test_an_empty_image_stays_empty() -> None:
    assert not normalise(np.zeros((4, 4, 4), np.float32)).any()


def test_the_weights_are_those_that_the_card_names() -> None:
    held = (module.WEIGHTS / module.FILE).read_bytes()
    card = json.loads((module.WEIGHTS / module.CARD).read_text("utf-8"))
    assert hashlib.sha256(held).hexdigest() == card["sha256"]
    assert card["licence"] == "CC BY-SA 3.0"
    assert not brain_network().training


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_weights_that_are_missing_or_changed_are_a_missing_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    if damage == "changed":
        held = bytearray((module.WEIGHTS / module.FILE).read_bytes())
        held[-1] ^= 1
        (tmp_path / module.FILE).write_bytes(held)
        (tmp_path / module.CARD).write_text((module.WEIGHTS / module.CARD).read_text("utf-8"))
    monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    with pytest.raises(MissingPiece, match=module.FILE) as caught:
        brain_network.__wrapped__()
    assert caught.value.exit_code == 4
