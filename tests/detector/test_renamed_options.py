"""Run folders of the previous version, whose recipes have the old names of some options."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anomri.detector import load
from anomri.recipe import Recipe
from anomri.scan import Scan

OLD_NAMES = {"min_level": "lowest", "min_relative_weight": "heaviness"}


def test_a_run_folder_with_the_old_names_marks_the_same(ball_scan: Scan, tmp_path: Path) -> None:
    text = Recipe.load("intensity").to_yaml()
    for name, old_name in OLD_NAMES.items():
        assert name in text
        text = text.replace(name, old_name)
    (tmp_path / "recipe.yaml").write_text(text)
    before, after = (load(source).detect_scan(ball_scan) for source in (tmp_path, "intensity"))
    np.testing.assert_array_equal(before.mask, after.mask)
    assert after.mask.any()
