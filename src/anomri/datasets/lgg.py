"""Kaggle "LGG segmentation": a folder of RGB TIFF slices per patient.

``TCGA_*/TCGA_*_<k>.tif`` is slice ``k``; red is T1, green FLAIR, blue T1 with contrast agent.
``TCGA_*_<k>_mask.tif`` is the FLAIR abnormality. The path of all contrasts and of the truth is the
patient's folder. The channel of a sequence that was not acquired repeats the FLAIR exactly; such
contrasts are left out. All cases are patients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.datasets.cases import TRUTH, Cases, Layout
from anomri.datasets.file_tree import Tree
from anomri.errors import ScanError
from anomri.files import read_tiff

CHANNELS = {"t1": 0, "flair": 1, "t1ce": 2}
SLICES_COMPARED = 3
NAME = re.compile(r"(?P<case>TCGA_.+)_(?P<number>\d+)(?P<mask>_mask)?\.tiff?", re.IGNORECASE)


def fits(tree: Tree) -> bool:
    """Whether there is a TIFF slice with a name of the Kaggle data set."""
    return any(NAME.fullmatch(path.name) for path in tree.files)


def gather(tree: Tree) -> Cases:
    """Return a case per folder of slices."""
    cases = Cases(tree)
    folders: dict[Path, list[Path]] = {}
    for path in tree.files:
        if NAME.fullmatch(path.name):
            folders.setdefault(path.parent, []).append(path)
        elif path.suffix.lower() in {".tif", ".tiff"}:
            cases.skip(path, "not named TCGA_<case>_<slice>.tif or ..._mask.tif")
    for folder, paths in folders.items():
        _add(cases, folder, paths)
    return cases


def _add(cases: Cases, folder: Path, paths: list[Path]) -> None:
    slices = _in_order(path for path in paths if not _match(path)["mask"])
    if not slices:
        cases.skip(folder, "only masks, no slices")
        return
    name = _match(slices[0])["case"]
    case = cases.case(folder, name, where=cases.tree.name(folder), healthy=False)
    repeating = _repeating_flair(slices)
    for contrast in CHANNELS:
        if contrast in repeating:
            cases.skip(f"{name} {contrast}", "not acquired: its channel repeats the FLAIR")
        else:
            case.add(contrast, folder)
    if len(slices) < len(paths):
        case.add(TRUTH, folder)


def _in_order(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: int(_match(path)["number"]))


def _match(path: Path) -> re.Match[str]:
    match = NAME.fullmatch(path.name)
    if match is None:  # callers pass matching names only
        raise ValueError(path.name)
    return match


def _repeating_flair(slices: list[Path]) -> set[str]:
    """Return the contrasts whose channel equals the FLAIR in the middle slices."""
    start = max(0, (len(slices) - SLICES_COMPARED) // 2)
    try:
        middle = [read_tiff(path) for path in slices[start : start + SLICES_COMPARED]]
    except ScanError:
        return set()  # reported when the scan is read
    if any(image.ndim != len(CHANNELS) or image.shape[-1] < len(CHANNELS) for image in middle):
        return set()
    return {name for name in CHANNELS if name != "flair" and _repeats_flair(middle, name)}


def _repeats_flair(images: list[NDArray[np.generic]], contrast: str) -> bool:
    return all(
        np.array_equal(image[..., CHANNELS[contrast]], image[..., CHANNELS["flair"]])
        for image in images
    )


LAYOUT = Layout(
    name="lgg",
    looks_for="TIFF slices named TCGA_*_<k>.tif",
    fits=fits,
    gather=gather,
)
