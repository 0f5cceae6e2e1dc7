"""File formats of prepared scans: NIfTI and validated JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from anomri.files import NATIVE_TRUTH, StoredNote, documents, undamaged, write_text
from anomri.recipe import Preparation
from anomri.scan import Affine, Grid, Labels, Scan

PREPARE_AGAIN = "prepare the scans again into another folder"

Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]


class _Document(BaseModel):
    """Part of a JSON document; fields of newer versions are kept."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class _Grid(_Document):
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    affine: Matrix
    sform_code: int
    qform_code: int
    qform: Matrix | None


class _File(_Document):
    """A fingerprint of :mod:`anomri.preprocessing.prepared_folder.fingerprints`."""

    name: str
    size: int
    mtime_ns: int
    stamp: str = ""
    sha256: str


class _Entry(_Document):
    subject: str
    session: str | None
    healthy: bool | None
    contrasts: tuple[str, ...] = Field(min_length=1)
    notes: tuple[StoredNote, ...]
    grid: _Grid
    native: _Grid
    to_template: Matrix | None = None
    files: dict[str, _File]


class _Header(_Document):
    format: int
    preparation: Preparation
    contrasts: list[str] = Field(min_length=1)
    optional: list[str] = []


def write_scan(folder: Path, scan: Scan, native_truth: Labels | None) -> None:
    """Write contrasts, brain mask and expert labels of a scan into an existing folder.

    Args:
        folder: of the scan.
        scan: on the working grid.
        native_truth: expert labels on the native grid, if there are any.
    """
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


def memory_map(path: Path, *, kind: str = "u1", shape: tuple[int, ...] = ()) -> NDArray[Any]:
    """Return the memory-mapped voxels of an uncompressed image.

    The map is copy-on-write, because torch needs writable arrays; the file never changes.

    Args:
        path: path of the image.
        kind: expected NumPy data type.
        shape: expected shape; empty for any.

    Raises:
        DamagedFile: unreadable, or of another data type or shape.
    """
    what = f"a prepared volume of {path.parent.name}"
    with undamaged(path, what=what, next_step=PREPARE_AGAIN):
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
    """Return a grid as JSON, with the affine in the double precision that NIfTI lacks."""
    return {
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
        "sform_code": grid.sform_code,
        "qform_code": grid.qform_code,
        "qform": None if grid.qform is None else grid.qform.tolist(),
    }


def grid_of(entry: Mapping[str, Any]) -> Grid:
    """Return the grid of a JSON object that :func:`grid_entry` made."""
    i, j, k = entry["shape"]
    qform: Affine | None = None if entry["qform"] is None else np.array(entry["qform"])
    return Grid(
        shape=(i, j, k),
        affine=np.array(entry["affine"]),
        sform_code=entry["sform_code"],
        qform_code=entry["qform_code"],
        qform=qform,
    )


def read_entry(path: Path) -> dict[str, Any]:
    """Read ``scan.json`` of a prepared scan, without fields that its version did not write.

    Raises:
        DamagedFile: invalid JSON, or a required field is missing.
    """
    what = f"what was prepared of {path.parent.name}"
    entry = documents.read_json(path, _Entry, what=what, next_step=PREPARE_AGAIN)
    return entry.model_dump(exclude_unset=True)


def read_header(path: Path) -> dict[str, Any]:
    """Read ``prepared.json`` of a folder of prepared scans.

    Raises:
        DamagedFile: invalid JSON, or a required field is missing.
    """
    what = "how scans were prepared"
    header = documents.read_json(path, _Header, what=what, next_step=PREPARE_AGAIN)
    return header.model_dump(exclude_unset=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, so that jobs of an array may write it concurrently."""
    write_text(path, json.dumps(content, indent=1))
