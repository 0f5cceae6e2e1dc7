"""Pointers to data that were not downloaded, and file endings in any case."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anomri.errors import NotFetched
from anomri.preprocessing import read_labels, read_volume
from anomri.scan import Volume

Write = Callable[..., Path]


POINTERS = pytest.mark.parametrize(
    ("content", "step"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        ("/annex/objects/MD5E-s9--0.nii.gz\n", "datalad get"),
    ],
)


@pytest.mark.parametrize("read", [read_volume, read_labels])
@pytest.mark.parametrize("name", ["flair.nii", "flair.nii.gz"])
@POINTERS
def test_a_pointer_says_how_to_fetch_the_data(
    tmp_path: Path, read: Callable[[Path], object], name: str, content: str, step: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(NotFetched, match="pointer") as caught:
        read(path)
    assert step in str(caught.value)


@pytest.mark.parametrize("names", [("P_1.tif", "P_2.tif"), ("1.png", "2.png")])
@POINTERS
def test_pointers_in_the_place_of_slices_say_so_too(
    tmp_path: Path, names: tuple[str, ...], content: str, step: str
) -> None:
    for name in names:
        (tmp_path / name).write_text(content)
    with pytest.raises(NotFetched, match="pointer") as caught:
        read_volume(tmp_path, "flair")
    assert step in str(caught.value)
    assert caught.value.file == names[0]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_endings_are_read_in_any_case(write: Write, stripped: Volume, ending: str) -> None:
    path = write(stripped, f"a{ending}")
    mixed = path.with_name(f"b{ending.title()}")
    shutil.copy(path, mixed)
    np.testing.assert_array_equal(read_volume(mixed)[0], read_volume(path)[0])
