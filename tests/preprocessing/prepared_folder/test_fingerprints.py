"""The fingerprint of a folder of slices covers each slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from anomri.preprocessing.prepared_folder.fingerprints import fingerprints, same_content
from anomri.scan import ScanFiles


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_a_slice_that_changes_is_noticed(tmp_path: Path, kind: str) -> None:
    def draw(number: int, value: int) -> None:
        plane = np.full((4, 4), value, np.uint8)
        if kind == "png":
            Image.fromarray(plane).save(tmp_path / f"{number}.png")
        else:
            tifffile.imwrite(tmp_path / f"TCGA_{number}.tif", plane)

    for number in range(3):
        draw(number, number)
    files = ScanFiles(subject="a", contrasts={"flair": tmp_path}, layout="x")
    known = fingerprints(files, ["flair"])
    assert same_content(known, files, ["flair"])
    draw(1, 77)
    assert not same_content(known, files, ["flair"])
