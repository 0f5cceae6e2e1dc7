"""How a prepared scan is written: NIfTI and JSON, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from anomri import documents
from anomri.files import write_text
from anomri.scan import Affine, Grid, Labels, Scan


def write_scan(folder: Path, scan: Scan, native_truth: Labels | None) -> None:
    """Write contrasts, brain and truth of a scan into an existing folder."""
    volumes = dict(zip(scan.contrasts, scan.image, strict=True))
    volumes["brain"] = scan.brain.astype(np.uint8)
    if scan.truth is not None:
        volumes["truth"] = scan.truth
    for name, volume in volumes.items():
        _save(volume, scan.grid, folder / f"{name}.nii")
    if native_truth is not None:
        _save(native_truth, scan.native, folder / "native_truth.nii.gz")


def _save(volume: NDArray[Any], grid: Grid, path: Path) -> None:
    image = nib.Nifti1Image(volume, grid.affine)
    image.set_sform(grid.affine, code=grid.sform_code)
    if grid.qform_code:
        image.set_qform(grid.affine if grid.qform is None else grid.qform, code=grid.qform_code)
    nib.save(image, path)


def mapped(path: Path) -> NDArray[Any]:
    """Return the voxels of an uncompressed image without reading them.

    Copy on write: torch wants arrays that it could write to, and the file stays as it is.
    """
    image: Any = nib.load(path, mmap="c")
    return np.asanyarray(image.dataobj)


def grid_entry(grid: Grid) -> dict[str, Any]:
    """Return a grid as JSON; its affine in full, where NIfTI would keep single precision."""
    return {
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
        "sform_code": grid.sform_code,
        "qform_code": grid.qform_code,
        "qform": None if grid.qform is None else grid.qform.tolist(),
    }


def grid_of(entry: Mapping[str, Any]) -> Grid:
    """Return the grid that :func:`grid_entry` wrote."""
    i, j, k = entry["shape"]
    qform: Affine | None = None if entry["qform"] is None else np.array(entry["qform"])
    return Grid(
        shape=(i, j, k),
        affine=np.array(entry["affine"]),
        sform_code=entry["sform_code"],
        qform_code=entry["qform_code"],
        qform=qform,
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    step = "prepare the scans again into another folder"
    return documents.read_json(path, dict[str, Any], what="a JSON object", next_step=step)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, by renaming; jobs of an array may do so at the same time."""
    write_text(path, json.dumps(content, indent=1))
