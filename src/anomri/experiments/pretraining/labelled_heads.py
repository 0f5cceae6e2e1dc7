"""Labelled healthy heads from which images are synthesised, and the model card of the weights."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy import ndimage

from anomri.errors import ScanError, UsageError
from anomri.files import write_text
from anomri.preprocessing import grid_to_ras, read_truth, read_volume, volume_to_ras
from anomri.scan import Labels, Volume

FWHM_PER_SIGMA = 2.355
HELD_OUT = slice(5, None, 6)  # every sixth head by name

Head = TypeVar("Head")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledHead:
    """A T1 scan and its anatomical labels.

    Attributes:
        scan: (I, J, K) RAS+.
        anatomy: (I, J, K) labels.
        spacing: mm along I, J, K.
    """

    scan: Volume
    anatomy: Labels
    spacing: tuple[float, float, float]

    def at(self, mm: float) -> LabelledHead:
        """Resample the head to isotropic voxels of ``mm``, with anti-aliasing."""
        steps = np.array([mm / step for step in self.spacing])
        shape = tuple(int((n - 1) / s) + 1 for n, s in zip(self.scan.shape, steps, strict=True))
        blur = np.sqrt(np.maximum(steps**2 - 1, 0)) / FWHM_PER_SIGMA
        smooth = ndimage.gaussian_filter(self.scan, blur)
        scan = ndimage.affine_transform(smooth, steps, output_shape=shape, order=1)
        anatomy = ndimage.affine_transform(self.anatomy, steps, output_shape=shape, order=0)
        return LabelledHead(scan.astype(np.float32), anatomy, (mm, mm, mm))


def read_heads(folder: Path) -> Iterator[tuple[str, LabelledHead]]:
    """Yield names and heads from ``t1/<name>_T1`` and ``dlmuse_seg/<name>_T1_DLMUSE`` (.nii.gz).

    Heads without labels are not used, with a warning.

    Raises:
        UsageError: there are fewer than two such pairs.
        ScanError: after all others, if there are heads that cannot be read: leaving them out would
            train another network than the one asked for.
    """
    named = {p.name.removesuffix("_T1.nii.gz"): p for p in (folder / "t1").glob("*_T1.nii.gz")}
    pairs = {
        name: (path, folder / "dlmuse_seg" / f"{name}_T1_DLMUSE.nii.gz")
        for name, path in sorted(named.items())
    }
    complete = {name: pair for name, pair in pairs.items() if pair[1].exists()}
    if len(complete) < 2:
        raise UsageError(
            f"{folder.resolve().name}: expected t1/ and dlmuse_seg/ with at least two heads, "
            f"found {len(complete)}. Next: name them t1/X_T1.nii.gz and "
            "dlmuse_seg/X_T1_DLMUSE.nii.gz."
        )
    if unlabelled := sorted(pairs.keys() - complete.keys()):
        log.warning("heads without labels are not used: %s", ", ".join(unlabelled))
    unreadable: list[ScanError] = []
    for name, pair in complete.items():
        try:
            yield name, _read_head(*pair)
        except ScanError as error:
            unreadable.append(error)
    if unreadable:
        raise _all_of(unreadable)


def _read_head(path: Path, labels: Path) -> LabelledHead:
    scan, grid = read_volume(path)
    anatomy = read_truth(labels, grid)  # its file may have another orientation
    in_ras = volume_to_ras(scan, grid), volume_to_ras(anatomy, grid)
    return LabelledHead(*in_ras, grid_to_ras(grid).spacing)


def _all_of(errors: Sequence[ScanError]) -> ScanError:
    """Return an error that names the files of several."""
    files = ", ".join(error.file for error in errors)
    others = "; ".join(f"{error.file}: {error.reason}" for error in errors)
    step = "replace these heads or remove them, with their labels, and start again"
    got = f"{len(errors)} that cannot be used ({others})"
    return ScanError(files, expected="heads and labels that can be read", got=got, next_step=step)


def split(heads: Mapping[str, Head]) -> tuple[dict[str, Head], dict[str, Head]]:
    """Return the heads for training and for validation: every sixth, or all if fewer than six."""
    held_out = set(sorted(heads)[HELD_OUT])
    training = {name: head for name, head in heads.items() if name not in held_out}
    return training, {name: heads[name] for name in sorted(held_out)} or dict(heads)


def write_card(
    weights: Path,
    steps: int,
    heads: Iterable[str],
    start: Path | None = None,
    measured: Iterable[str] = (),
) -> None:
    """Write the model card of the weights: hash, training data and licence.

    ``start`` are the weights that the training began with, ``measured`` the scans whose FLAIR it
    used; their licences apply too.
    """
    card = {
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "steps": steps,
        "heads": sorted(heads),
        "data": "IXI data set (brain-development.org), T1 and automatic anatomy labels",
        "licence": "CC BY-SA 3.0",
    }
    if flair := sorted(measured):
        card["measured_flair"] = flair
    if start is not None:
        card["started_from"] = hashlib.sha256(start.read_bytes()).hexdigest()
    write_text(weights.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
