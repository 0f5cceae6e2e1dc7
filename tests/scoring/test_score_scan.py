"""The way of a scan through a network and back, with networks that a test can predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from anomri.errors import RecipeError
from anomri.models import Batch, Losses, Reconstructor, build
from anomri.recipe import Step
from anomri.scan import AnomalyMap, Grid, Scan
from anomri.scoring import SCORES, score_scan

CPU = torch.device("cpu")
RESIDUAL = Step(name="residual")


class Probe(Reconstructor):
    """Halves what it sees, tile by tile so that position matters, and remembers its inputs."""

    def __init__(self, *, channels: int = 1, size: tuple[int, ...] = ()) -> None:
        super().__init__(channels=channels, size=size)
        self.seen: list[Tensor] = []
        self.dropout = nn.Dropout(0.5)

    def losses(self, batch: Batch) -> Losses:
        return {"loss": batch.image.mean()}

    def reconstruct(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        half: Tensor = self.dropout(images) / 2
        return half


def scan_of(shape: Sequence[int], *, channels: int = 1, seed: int = 0) -> Scan:
    """Noise in a box of brain that leaves the rim and the two last slices free."""
    rng = np.random.default_rng(seed)
    i, j, k = shape
    brain = np.zeros((i, j, k), dtype=bool)
    brain[1:-1, 1:-1, 1:-2] = True
    image = rng.normal(size=(channels, i, j, k)).astype(np.float32) * brain
    grid = Grid(shape=(i, j, k), affine=np.eye(4))
    return Scan(
        subject="probe",
        label="sub-probe",
        image=image.astype(np.float32),
        contrasts=tuple(f"c{number}" for number in range(channels)),
        brain=brain,
        grid=grid,
        native=grid,
    )


def middle(length: int, size: tuple[int, ...]) -> slice:
    """The part of an axis that a network of one length, or of none, sees."""
    seen = min(length, *size, length)
    return slice((length - seen) // 2, (length - seen) // 2 + seen)


def score(
    family: Reconstructor, scan: Scan, step: Step = RESIDUAL, batch_size: int = 4
) -> AnomalyMap:
    return score_scan(family, scan, step, device=CPU, batch_size=batch_size)


@pytest.mark.parametrize(
    "size", [(), (8, 8), (16, 15), (9, 9), (8, 8, 8), (16, 15, 14), (9, 11, 10)]
)
def test_every_size_finds_back_to_the_grid(size: tuple[int, ...]) -> None:
    scan = scan_of((8, 9, 8), channels=2)
    family = Probe(channels=2, size=size)
    anomaly = score(family, scan)
    inside = np.zeros_like(scan.brain)
    inside[middle(8, size[:1]), middle(9, size[1:2]), middle(8, size[2:])] = True
    expected = np.where(inside, scan.image / 2, 0)
    np.testing.assert_allclose(anomaly.values, expected, atol=1e-7)
    np.testing.assert_allclose(anomaly.reconstruction, expected, atol=1e-7)
    assert anomaly.values.dtype == np.float32
    assert anomaly.score == "residual"
    assert anomaly.scan is scan
    assert all(tuple(seen.shape[2:]) == (size or (8, 9)) for seen in family.seen)


@settings(deadline=None)
@given(st.integers(3, 12), st.integers(3, 12), st.integers(3, 12), st.integers(3, 12))
def test_padding_is_centred_and_zero(i: int, j: int, size_i: int, size_j: int) -> None:
    scan = scan_of((i, j, 5))
    family = Probe(size=(size_i, size_j))
    score(family, scan, batch_size=9)
    (seen,) = family.seen
    ones = np.zeros((size_i, size_j), dtype=bool)
    low_i, low_j = (size_i - i) // 2, (size_j - j) // 2
    ones[max(low_i, 0) : max(low_i, 0) + i, max(low_j, 0) : max(low_j, 0) + j] = True
    if i <= size_i and j <= size_j:
        np.testing.assert_array_equal(
            seen[:, 0].numpy()[:, ones].ravel(),
            np.moveaxis(scan.image[0], -1, 0)[1:3].ravel(),
        )
    assert not seen[:, 0].numpy()[:, ~ones].any()


def test_only_slices_with_brain_are_looked_at_in_batches() -> None:
    family = Probe(size=(8, 8))
    scan = scan_of((8, 8, 13))
    scan.brain[:, :, 3] = False  # a gap: the slices of a batch are not neighbours
    image = scan.image * scan.brain
    anomaly = score(family, replace(scan, image=image), batch_size=4)
    np.testing.assert_allclose(anomaly.values, image / 2)
    assert [len(seen) for seen in family.seen] == [4, 4, 1]


@pytest.mark.parametrize("size", [(12, 11), (12, 11, 14)])
def test_flipped_scan_gives_flipped_map(size: tuple[int, ...]) -> None:
    scan = scan_of((8, 9, 8))
    flipped = replace(scan, image=scan.image[:, ::-1], brain=scan.brain[::-1])
    expected = score(Probe(size=size), scan).values[:, ::-1]
    np.testing.assert_array_equal(score(Probe(size=size), flipped).values, expected)


def test_batch_size_and_repetition_change_nothing() -> None:
    scan = scan_of((10, 10, 12))
    maps = [score(Probe(size=(16, 16)), scan, batch_size=n).values for n in (1, 5, 32, 32)]
    for other in maps[1:]:
        np.testing.assert_array_equal(maps[0], other)


def test_input_is_untouched_and_may_be_read_only() -> None:
    scan = scan_of((8, 8, 8))
    before = scan.image.copy()
    scan.image.flags.writeable = False
    score(Probe(size=(8, 8)), scan)
    np.testing.assert_array_equal(scan.image, before)


def test_dropout_is_off_and_training_goes_on_afterwards() -> None:
    scan = scan_of((8, 8, 8))
    family = Probe(size=(8, 8))
    family.train()
    np.testing.assert_allclose(score(family, scan).values, scan.image / 2)
    assert family.training
    assert family.dropout.training
    family.eval()
    score(family, scan)
    assert not family.training


def test_nothing_outside_the_brain() -> None:
    class Bright(Probe):
        def reconstruct(self, images: Tensor) -> Tensor:
            return torch.full_like(images, torch.nan) * (images == 0) + 1

    scan = scan_of((8, 8, 8))
    anomaly = score(Bright(size=(10, 10)), scan)
    assert not anomaly.values[:, ~scan.brain].any()
    assert not anomaly.reconstruction[:, ~scan.brain].any()


def test_scan_without_brain_gives_an_empty_map() -> None:
    scan = scan_of((8, 8, 8))
    empty = replace(scan, brain=np.zeros_like(scan.brain))
    family = Probe(size=(8, 8))
    assert not score(family, empty).values.any()
    assert not family.seen


def test_warns_of_brain_that_the_network_cannot_see(caplog: pytest.LogCaptureFixture) -> None:
    scan = scan_of((8, 8, 8))
    score(Probe(size=(6, 6)), scan)  # the brain is 6 x 6
    assert not caplog.records
    score(Probe(size=(5, 6)), scan)
    assert "probe: the brain extends beyond the 5 x 6 voxels" in caplog.text


def test_unknown_score_names_those_that_exist() -> None:
    with pytest.raises(RecipeError, match="'residuum': expected one of residual"):
        score(Probe(), scan_of((6, 6, 6)), Step(name="residuum"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sing": "signed"}, r"unknown option \['sing'\]; its options are: sign"),
        ({"family": "vae"}, r"unknown option \['family'\]"),
        ({"sign": "both"}, "option 'sign'.*'positive'.*got 'both'"),
    ],
)
def test_wrong_option_is_named(options: dict[str, float | str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        score(Probe(), scan_of((6, 6, 6)), Step(name="residual", options=dict(options)))


def test_a_score_may_ask_for_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient(family: Reconstructor, images: Tensor, reconstruction: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        with torch.enable_grad():
            moved = images.requires_grad_()
            loss = (moved * reconstruction).sum() + family.reconstruct(moved).sum()
            (result,) = torch.autograd.grad(loss, moved)
        return result

    monkeypatch.setitem(SCORES, "gradient", gradient)
    scan = scan_of((8, 8, 8))
    anomaly = score(Probe(size=(8, 8)), scan, Step(name="gradient"))
    np.testing.assert_allclose(
        anomaly.values, np.where(scan.brain, scan.image / 2 + 0.5, 0), rtol=1e-5
    )


def test_a_real_network_sees_the_slices_as_they_are() -> None:
    scan = scan_of((32, 32, 6), channels=2)
    family = build(Step(name="vae"), channels=2, size=(32, 32)).eval()
    anomaly = score(family, scan)
    with torch.inference_mode():
        expected = family.reconstruct(torch.from_numpy(np.moveaxis(scan.image, -1, 0).copy()))
    found = np.moveaxis(anomaly.reconstruction, -1, 0)[1:4]
    inside = np.moveaxis(scan.brain, -1, 0)[1:4, None]
    np.testing.assert_allclose(found, np.where(inside, expected[1:4], 0), atol=1e-5)
    np.testing.assert_allclose(anomaly.values, scan.image - anomaly.reconstruction, atol=1e-6)
