from __future__ import annotations

import gc
import io
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image as Picture

from anomri.reporting import picture
from anomri.reporting.figures.mosaic import FOUND, TRUTH, Mosaic, contours
from anomri.reporting.figures.panels import grey_window, rows_of, scale_of
from anomri.reporting.figures.region_colours import paint
from anomri.reporting.figures.scan_figure import _palette
from anomri.scan import Detection, Threshold

Detect = Callable[..., Detection]


def pixels(data: bytes) -> np.ndarray:
    image = Picture.open(io.BytesIO(data))
    image.load()
    return np.asarray(image.convert("RGB")).astype(int)


def has_colour(image: np.ndarray, colour: str) -> bool:
    wanted = np.array(to_rgb(colour)) * 255
    return bool((np.abs(image - wanted).sum(axis=-1) < 24).any())


def test_the_picture_is_a_png_of_modest_size(detect: Detect) -> None:
    data = picture(detect())
    assert data.startswith(b"\x89PNG")
    assert len(data) < 500_000
    assert pixels(data).shape[1] == 1500


def test_nothing_of_a_picture_is_kept(detect: Detect) -> None:
    found, before = detect(), gc.get_threshold()
    try:
        gc.collect()
        gc.set_threshold(10**9)  # Python does not collect by itself
        picture(found)
        assert not any(type(left) in (Figure, RendererAgg) for left in gc.get_objects())
    finally:
        gc.set_threshold(*before)


@pytest.mark.parametrize("with_truth", [True, False])
def test_the_expert_is_drawn_only_where_there_is_one(detect: Detect, with_truth: bool) -> None:
    found = detect()
    scan = replace(found.anomaly.scan, truth=found.anomaly.scan.truth if with_truth else None)
    # The expert's ball moves aside, or the lines would cover each other.
    if scan.truth is not None:
        scan = replace(scan, truth=np.roll(scan.truth, 6, axis=1))
    image = pixels(picture(replace(found, anomaly=replace(found.anomaly, scan=scan))))
    assert has_colour(image, FOUND)
    assert has_colour(image, TRUTH) == with_truth


def test_one_colour_scale_for_every_scan(detect: Detect) -> None:
    found = detect()
    brighter = replace(found, anomaly=replace(found.anomaly, values=found.anomaly.values * 5))
    assert scale_of(found) == scale_of(brighter) == 6.0


def test_a_probability_ends_at_one(detect: Detect) -> None:
    found = detect()
    anomaly = replace(found.anomaly, score="tumour probability")
    likely = replace(found, anomaly=anomaly, threshold=Threshold(value=0.5, rule="fixed"))
    assert scale_of(likely) == 1.0


def test_a_threshold_below_zero_still_gives_a_scale(detect: Detect) -> None:
    found = replace(detect(), threshold=Threshold(value=-1.0, rule="fixed"))
    assert scale_of(found) == pytest.approx(float(found.anomaly.values.max()))
    assert picture(found)


def test_rows_are_input_expectation_anomaly_and_outlines(detect: Detect) -> None:
    found = detect()
    assert [row.title for row in rows_of(found)] == [
        "FLAIR",
        "Reconstruction",
        "Anomaly",
        "Lesions",
    ]
    found.anomaly.reconstruction[:] = 0
    assert [row.title for row in rows_of(found)] == ["FLAIR", "Anomaly", "Lesions"]


def test_outside_the_brain_is_black(detect: Detect) -> None:
    found = detect()
    found.anomaly.scan.image[:] -= 3  # the background is not the darkest value any more
    row = rows_of(found)[0]
    assert (row.volume[~found.anomaly.scan.brain] == row.low).all()


def test_a_constant_brain_still_has_a_window(detect: Detect) -> None:
    scan = detect().anomaly.scan
    scan.image[:] = 1
    low, high = grey_window(scan.image[0][scan.brain])
    assert high > low


def test_an_empty_brain_is_drawn_too(detect: Detect) -> None:
    found = detect(brain=np.zeros((48, 52, 44), bool))
    assert picture(replace(found, mask=np.zeros_like(found.mask), findings=()))


def test_outlines_run_between_the_voxels() -> None:
    plane = np.zeros((4, 5), bool)
    plane[1:3, 2:4] = True
    (line,) = contours(plane, (100, 150, 40, 0))  # ten pixels a voxel
    assert line.min(axis=0).tolist() == [120, 10]
    assert line.max(axis=0).tolist() == [140, 30]
    (edge,) = contours(np.ones((2, 2), bool), (0, 20, 20, 0))
    assert edge.min() == 0
    assert edge.max() == 20


def test_panels_do_not_overlap(detect: Detect) -> None:
    mosaic = Mosaic(detect())
    for row in range(len(mosaic.rows)):
        extents = [mosaic.extent(row, column) for column in range(len(mosaic.slices))]
        assert all(a[1] < b[0] for a, b in pairwise(extents))
        assert all(e[3] >= mosaic.top(row) - 1e-6 for e in extents)
        assert all(e[2] <= mosaic.top(row) + mosaic.row_height + 1e-6 for e in extents)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_region_keeps_its_colour_over_every_grey(number: int) -> None:
    """The picture has 256 colours; a region over light tissue must not become another one."""
    greys = np.rint(255 * np.linspace(0, 0.95, 40)).astype(np.uint8)
    blends = paint(np.stack([greys] * 3, axis=-1), np.full(40, number, np.uint8))
    strip = Picture.fromarray(blends[None])
    few = strip.quantize(palette=_palette(), dither=Picture.Dither.NONE).convert("RGB")
    assert np.abs(np.asarray(few).astype(int)[0] - blends.astype(int)).max() <= 12
