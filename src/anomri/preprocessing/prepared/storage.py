"""How a prepared scan is written: NIfTI and JSON, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from anomri.files import NATIVE_TRUTH, documents, undamaged, write_text
from anomri.recipe import Preparation
from anomri.scan import Affine, Grid, Labels, Scan

PREPARE_AGAIN = "prepare the scans again into another folder"

Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]


class _Kept(BaseModel):
    """What a newer version adds is kept."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class _Grid(_Kept):
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    affine: Matrix
    sform_code: int
    qform_code: int
    qform: Matrix | None


class _File(_Kept):
    """A fingerprint, as :mod:`anomri.preprocessing.prepared.fingerprints` has it."""

    name: str
    size: int
    mtime_ns: int
    stamp: str = ""
    sha256: str


class _Entry(_Kept):
    subject: str
    session: str | None
    healthy: bool | None
    contrasts: tuple[str, ...] = Field(min_length=1)
    notes: tuple[str, ...]
    grid: _Grid
    native: _Grid
    to_template: Matrix | None = None
    files: dict[str, _File]


class _Header(_Kept):
    format: int
    preparation: Preparation
    contrasts: list[str] = Field(min_length=1)
    optional: list[str] = []


def write_scan(folder: Path, scan: Scan, native_truth: Labels | None) -> None:
    """Write contrasts, brain and truth of a scan into an existing folder."""
    volumes = dict(zip(scan.contrasts, scan.image, strict=True))
    volumes["brain"] = scan.brain.astype(np.uint8)
    if scan.truth is not None:
        volumes["truth"] = scan.truth
    for name, volume in volumes.items():
        _save(volume, scan.grid, folder / f"{name}.nii")
    if native_truth is not None:
        _save(native_truth, scan.native, folder / NATIVE_TRUTH)


def _save(volume: NDArray[Any], grid: Grid, path: Path) -> None:
    image = nib.Nifti1Image(volume, grid.affine)
    image.set_sform(grid.affine, code=grid.sform_code)
    if grid.qform_code:
        image.set_qform(grid.affine if grid.qform is None else grid.qform, code=grid.qform_code)
    nib.save(image, path)


def mapped(path: Path, *, kind: str = "u1", shape: tuple[int, ...] = ()) -> NDArray[Any]:
    """Return the voxels of an uncompressed image without reading them.

    Args:
        path: of the image.
        kind: of its numbers, in NumPy's words.
        shape: that it must have; empty where that is not known.

    Copy on write: torch wants arrays that it could write to, and the file stays as it is.

    Raises:
        DamagedFile: it cannot be read, or is another one.
    """
    with undamaged(path, what="a prepared volume", next_step=PREPARE_AGAIN):
        image: Any = nib.load(path, mmap="c")
        voxels: NDArray[Any] = np.asanyarray(image.dataobj)
        if (
            voxels.ndim != 3
            or voxels.dtype != np.dtype(kind)
            or voxels.shape != (shape or voxels.shape)
        ):
            raise ValueError(f"{voxels.dtype} {voxels.shape}")
    return voxels


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
    return documents.read_json(path, dict[str, Any], what="a JSON object", next_step=PREPARE_AGAIN)


def read_entry(path: Path) -> dict[str, Any]:
    """Read what ``scan.json`` says of a prepared scan; what older versions left out is not there.

    Raises:
        DamagedFile: it is damaged, or something that every version wrote is missing.
    """
    what = "what was prepared of a scan"
    entry = documents.read_json(path, _Entry, what=what, next_step=PREPARE_AGAIN)
    return entry.model_dump(exclude_unset=True)


def read_header(path: Path) -> dict[str, Any]:
    """Read what ``prepared.json`` says of a folder of prepared scans.

    Raises:
        DamagedFile: it is damaged, or something that every version wrote is missing.
    """
    what = "how scans were prepared"
    header = documents.read_json(path, _Header, what=what, next_step=PREPARE_AGAIN)
    return header.model_dump(exclude_unset=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, by renaming; jobs of an array may do so at the same time."""
    write_text(path, json.dumps(content, indent=1))
