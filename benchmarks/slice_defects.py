"""How many good scans are accused of defective slices or spikes, and how many defects are seen.

    python benchmarks/slice_defects.py DATA

Every contrast of every scan below DATA is looked at as it is, and with one slice spoilt in each of
four ways, in the middle of the axis with the thickest slices.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from anomri.datasets import find
from anomri.errors import AnomriError, QualityRefused
from anomri.preprocessing.reading.outlier_voxels import replace_outlier_voxels
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.scan_images import read_image
from anomri.preprocessing.reading.slice_defects import repair_defective_slices

DATA_SETS = (
    "brats2018",
    "nichart",
    "ixi_t1",
    "ms3seg_bids",
    "wmh",
    "open_ms_data",
    "lgg/kaggle_3m",
)


def accused(native: RawImage) -> bool:
    """Say whether anything is said of an image that reading it did not say."""
    try:
        return repair_defective_slices(replace_outlier_voxels(native)).notes != native.notes
    except QualityRefused:
        return True


def spoilt(native: RawImage, kind: str) -> RawImage:
    """Return an image with one slice spoilt."""
    values = native.values.copy()
    axis = int(np.argmax(native.grid.spacing)) if len(set(native.grid.spacing)) > 1 else 2
    slices = np.moveaxis(values, axis, 0)
    middle, top = len(slices) // 2, float(np.percentile(values, 99))
    noise = np.random.default_rng(0).uniform(-1, 1, slices[middle].shape)
    replacement = {
        "blank": np.zeros_like(noise),
        "constant": np.full_like(noise, top / 3),
        "half as bright": slices[middle] / 2,
        "phase": noise * 4096,
    }
    slices[middle] = replacement[kind]
    return native.with_values(values)


def main(data: Path) -> None:
    """Print the counts."""
    scans, false, seen = 0, [], Counter[str]()
    for name in DATA_SETS:
        for files in find(data / name).scans:
            for contrast, path in files.contrasts.items():
                try:
                    native = read_image(path, contrast)
                except AnomriError as error:
                    print(f"left out: {error}")
                    continue
                scans += 1
                false += [path.name] if accused(native) else []
                for kind in ("blank", "constant", "half as bright", "phase"):
                    seen[kind] += accused(spoilt(native, kind))
    print(f"{scans} images, {len(false)} accused: {', '.join(false) or 'none'}")
    for kind, count in seen.items():
        print(f"one slice {kind}: seen in {count} of {scans}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
