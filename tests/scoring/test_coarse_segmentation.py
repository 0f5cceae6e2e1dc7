"""One look on cubes, and back to the scan's own voxels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from anomri.models import Batch, Losses, Segmenter
from anomri.postprocessing import brightness
from anomri.preprocessing import resample_to_grid, resample_to_isotropic
from anomri.scan import Grid, Scan
from anomri.scoring import network_input
from anomri.scoring.coarse_segmentation import segment_coarsely
from anomri.scoring.confirmed_brightness import confirmed_brightness

CPU = torch.device("cpu")


class Left(Segmenter):
    """Says that all of the left half is a lesion, whatever it sees."""

    def __init__(self) -> None:
        super().__init__(channels=1, size=(16, 16, 16))

    def losses(self, batch: Batch) -> Losses:
        return {"loss": batch.image.sum()}

    def segment(self, images: Tensor) -> Tensor:
        answer = torch.zeros(images.shape[0], 3, *images.shape[2:])
        answer[:, :, : images.shape[2] // 2] = 1
        return answer


class Bright(Left):
    """Finds what is three standard deviations above the median."""

    def segment(self, images: Tensor) -> Tensor:
        return (images > 3).float().expand(-1, 3, -1, -1, -1)


def thick(scan: Scan, spacing: tuple[float, float, float]) -> Scan:
    """Say that the scan's voxels have another size."""
    return replace(scan, grid=Grid(shape=scan.grid.shape, affine=np.diag([*spacing, 1.0])))


def with_spot(scan: Scan) -> tuple[Scan, np.ndarray]:
    """Return a scan with a bright block, and the block."""
    draw = np.random.default_rng(0)
    spot = np.zeros(scan.brain.shape, bool)
    spot[20:30, 22:32, 18:28] = True
    image = (draw.normal(100, 10, scan.brain.shape) + 100 * spot) * scan.brain
    return replace(scan, image=image[None].astype(np.float32)), spot & scan.brain


def test_a_lesion_comes_back_where_it_lies(ball_scan: Scan) -> None:
    for spacing in ((1.0, 1.0, 1.0), (3.0, 2.0, 2.5), (1.0, 1.0, 6.0)):
        scan, spot = with_spot(thick(ball_scan, spacing))
        found = segment_coarsely([Bright()], scan, CPU, spacing_mm=2.0)[0] > 0.5
        overlap = 2 * (found & spot).sum() / (found.sum() + spot.sum())
        assert overlap > 0.85, spacing
        assert not found[~scan.brain].any()


def test_the_mirror_image_counts_half(ball_scan: Scan) -> None:
    """What is said of one side of every image is even once the mirror image has had its say."""
    found = segment_coarsely([Left()], ball_scan, CPU, spacing_mm=1.0)
    inside = found[0][ball_scan.brain]
    assert np.mean(np.abs(inside - 0.5) < 0.01) > 0.95


def test_missing_contrasts_stay_zero_and_the_others_are_standardised(ball_scan: Scan) -> None:
    scan, _ = with_spot(ball_scan)
    image = np.concatenate([scan.image, np.zeros_like(scan.image)])
    ready = network_input(image, scan.brain)
    low, middle, high = np.percentile(ready[0][scan.brain], [10, 50, 90])
    np.testing.assert_allclose([middle, high - low], [0, 2.563], atol=1e-3)
    assert not ready[1].any()


def test_values_go_to_cubes_and_back(ball_scan: Scan) -> None:
    """A plane through space is the same plane after both ways, inside the brain."""
    scan = thick(ball_scan, (1.5, 1.0, 4.0))
    plane = np.indices(scan.brain.shape).sum(0).astype(np.float32)
    coarse = resample_to_isotropic(replace(scan, image=plane[None]), 2.0)
    assert coarse.grid.spacing == (2.0, 2.0, 2.0)
    back = resample_to_grid(coarse.image, coarse.grid, scan.grid)[0]
    from scipy.ndimage import binary_erosion

    deep = binary_erosion(scan.brain, iterations=5)
    assert np.abs(back - plane)[deep].max() < 0.5


def test_brightness_is_the_score_of_a_normal_distribution() -> None:
    volume = np.random.default_rng(0).normal(100, 7, (40, 40, 40)).astype(np.float32)
    found = brightness(volume, np.ones(volume.shape, bool))
    np.testing.assert_allclose(found, (volume - 100) / 7, atol=0.08)


def test_dark_fluid_does_not_change_brightness() -> None:
    """Half of what is below the median turned black moves neither the median nor the top."""
    volume = np.arange(1001, dtype=np.float32).reshape(7, 11, 13)
    darker = np.where(volume < 250, 0, volume).astype(np.float32)
    brain = np.ones(volume.shape, bool)
    one, two = (brightness(values, brain)[volume >= 250] for values in (volume, darker))
    np.testing.assert_array_equal(one, two)


def test_a_lesion_is_only_what_is_bright_too(ball_scan: Scan) -> None:
    seen = segment_coarsely([Left()], ball_scan, CPU)
    bright = segment_coarsely([Left()], ball_scan, CPU, brighter_than=1.0)
    where = brightness(ball_scan.image[0], ball_scan.brain) > 1
    np.testing.assert_array_equal(bright, np.where(where, seen, 0))
    assert 0 < (bright[0] > 0).sum() < (seen[0] > 0).sum()


def test_what_the_network_doubts_is_less_bright(ball_scan: Scan) -> None:
    seen = segment_coarsely([Left()], ball_scan, CPU)[0] > 0.2
    doubted, agreed = (
        confirmed_brightness([Left()], ball_scan, CPU, penalty=penalty)[0] for penalty in (1.0, 0.0)
    )
    expected = np.where(ball_scan.brain & ~seen, (agreed - 2).clip(0, 1), 0)
    np.testing.assert_allclose(agreed - doubted, expected, atol=1e-5)
    assert 0 < expected.max() <= 1
