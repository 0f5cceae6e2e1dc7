from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomri.errors import UsageError
from anomri.reporting import Preview, write_detection
from anomri.reporting.figures.slice_choice import Box
from anomri.reporting.pages import niivue
from anomri.reporting.pages.html import inert
from anomri.reporting.pages.viewer_volumes import (
    Copy,
    Layer,
    anomaly_levels,
    grey_levels,
    level_scale,
    preview_of,
    read_preview,
)
from anomri.scan import Detection, Grid, Threshold

Detect = Callable[..., Detection]


def voxels(preview: Preview, name: str) -> np.ndarray:
    layer = next(layer for layer in preview.layers if layer.name == name)
    data = gzip.decompress(base64.b64decode(layer.voxels))
    return np.frombuffer(data, np.uint8).reshape(preview.shape, order="F")


@given(st.floats(0.01, 50), st.sampled_from((1.01, 2.0, 3.0)), st.integers(0, 2**32 - 1))
def test_the_cut_is_exactly_the_threshold(threshold: float, times: float, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(-1, 4, 200).astype(np.float32) * threshold
    near = np.abs(values / threshold - 1) < 1e-5
    cut, high = level_scale(threshold, times * threshold)
    assert times * threshold * (1 - 1 / 127) < high < times * threshold * (1 + 1e-6)
    levels = anomaly_levels(values, high)
    np.testing.assert_array_equal((levels > cut)[~near], (values > threshold)[~near])
    assert anomaly_levels(np.array([threshold]), high)[0] == cut


def test_greys_span_the_window() -> None:
    levels = grey_levels(np.array([-9, 0, 1, 2, 9], np.float32), 0, 2)
    assert levels.tolist() == [0, 0, 128, 255, 255]


def test_layers_hold_what_was_found(detect: Detect) -> None:
    found = detect()
    preview = preview_of(found)
    assert [layer.kind for layer in preview.layers] == [
        *("image", "reconstruction", "anomaly", "mask", "truth")
    ]
    mask = voxels(preview, "Found")
    assert mask.sum() == found.mask.sum()
    assert (voxels(preview, "FLAIR anomaly") > preview.cut).sum() == (
        found.anomaly.values[0] > 2
    ).sum()
    assert preview.mask_ml == pytest.approx(mask.sum() * preview.voxel_ml)


def test_the_levels_of_a_probability_end_at_one(detect: Detect) -> None:
    found = detect()
    anomaly = replace(
        found.anomaly, score="tumour probability", values=found.anomaly.values / np.float32(4)
    )
    likely = replace(found, anomaly=anomaly, threshold=Threshold(value=0.5, rule="fixed"))
    preview = preview_of(likely)
    heat = next(layer for layer in preview.layers if layer.kind == "anomaly")
    assert (preview.cut, heat.unit) == (128, "tumour probability")
    assert 0.99 < heat.high <= 1
    assert (voxels(preview, heat.name) > 128).sum() == (anomaly.values[0] > 0.5).sum()


def test_a_voxel_of_the_copy_lies_where_it_lay(detect: Detect) -> None:
    found = detect()
    preview = preview_of(found, voxel_mm=3.0)
    affine = np.array(preview.affine)
    assert preview.shape < found.mask.shape
    centre = np.argwhere(voxels(preview, "Found")).mean(axis=0)
    before = np.argwhere(found.mask).mean(axis=0)
    np.testing.assert_allclose((affine @ [*centre, 1])[:3], 2 * before, atol=0.5)
    assert preview.voxel_ml == pytest.approx(np.prod(preview.spacing_mm) / 1000)


@given(st.tuples(*(st.floats(0.4, 8) for _ in range(3))), st.floats(0.5, 3))
def test_edges_stay_and_no_voxel_gets_shorter(
    spacing: tuple[float, float, float], voxel_mm: float
) -> None:
    grid = Grid(shape=(9, 10, 11), affine=np.diag([*spacing, 1]))
    box = Box((1, 2, 3), (8, 9, 10), spacing)
    copy = Copy(grid, box, voxel_mm)
    low, high = np.full(3, -0.5), np.array(copy.grid.shape) - 0.5
    np.testing.assert_allclose(copy.grid.to_world(low), grid.to_world(np.array(box.low) - 0.5))
    np.testing.assert_allclose(copy.grid.to_world(high), grid.to_world(np.array(box.high) - 0.5))
    # The last voxel may be a fraction, which all share.
    assert (np.array(copy.grid.spacing) >= np.array(spacing) - 1e-9).all()


def test_coarse_labels_take_what_covers_a_voxel_most() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:2] = 4
    labels[2:, :2] = 1
    labels[2, 2, 2] = 2
    grid = Grid(shape=(4, 4, 4), affine=np.eye(4))
    small = Copy(grid, Box((0, 0, 0), (4, 4, 4), (1, 1, 1)), 2.0).labels(labels)
    assert small.shape == (2, 2, 2)
    assert small[0].tolist() == [[4, 4], [4, 4]]
    assert small[1].tolist() == [[1, 1], [0, 0]]


def test_regions_are_copied_too(detect: Detect) -> None:
    found = detect()
    regions = found.mask.astype(np.uint8) * 4
    assert set(np.unique(voxels(preview_of(replace(found, regions=regions)), "Regions"))) == {0, 4}


def test_it_is_read_back_and_a_damaged_one_is_named(detect: Detect, tmp_path: Path) -> None:
    found = detect()
    home = write_detection(found, tmp_path)
    assert read_preview(tmp_path, "sub-ball01") == preview_of(found)
    (home / "sub-ball01_desc-preview.json").write_text("{}")
    with pytest.raises(UsageError, match=r"sub-ball01_desc-preview\.json"):
        read_preview(tmp_path, "sub-ball01")
    (home / "sub-ball01_desc-preview.json").unlink()
    assert read_preview(tmp_path, "sub-ball01") is None


def test_no_name_ends_the_element_it_lies_in(detect: Detect) -> None:
    layer = Layer(name="</script><b>", kind="image", voxels="")
    preview = preview_of(detect()).model_copy(update={"layers": (layer,), "label": "<!--"})
    text = str(inert(preview))
    assert "<" not in text
    assert Preview.model_validate_json(text) == preview


def test_the_build_is_the_one_that_is_named_beside_it() -> None:
    build = niivue.niivue()
    script = gzip.decompress(base64.b64decode(build.packed))
    assert hashlib.sha256(script).hexdigest() == build.sha256
    assert f'version:"{build.version}"'.encode() in script


def test_the_licence_lies_beside_the_build() -> None:
    text = (niivue.FOLDER / "LICENSE.txt").read_text(encoding="utf-8")
    assert text.startswith(niivue.niivue().licence)
    assert "Copyright (c) 2021, Niivue" in text
    assert "MIT License" in (niivue.FOLDER / "NOTICES.txt").read_text(encoding="utf-8")
