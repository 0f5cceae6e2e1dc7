"""Damaged files through every reader: how many are read, refused with a name, or escape.

    python benchmarks/fuzzing.py [10000]

Each file is damaged with a fixed seed, in this process, at the function that reads it. What is
neither read nor refused by an error of anomri's is a fault; the suite runs a thousand of each.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import random
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image

from anomri.datasets.dicom.headers import read_series
from anomri.errors import AnomriError
from anomri.files import read_json, read_png, read_thresholds, read_tiff, read_tsv
from anomri.preprocessing import read_labels, read_volume
from anomri.recipe import Recipe, builtin_names
from anomri.recipe.definition import BUILTIN
from anomri.reporting import Record

SHAPE = (6, 7, 5)
WILD = (b"\0", b"\xff", b"\x7f", b"\x80", b"[", b"{", b'"', b"&a ", b"*a", b"9" * 50, b"\n", b"NaN")


@dataclass(frozen=True)
class Target:
    """A reader, and intact files to damage for it.

    Attributes:
        name: of the file to write; its ending counts.
        intact: contents of whole files.
        read: raises where a file cannot be used.
        packed: whether the file is written with gzip, damaged before.
    """

    name: str
    intact: tuple[bytes, ...]
    read: Callable[[Path], object]
    packed: bool = False


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Flip bits, put in wild bytes, delete, repeat or cut; most of it near the beginning."""
    out = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if not out:
            break
        at = rng.randrange(min(len(out), rng.choice((64, 400, len(out)))))
        rng.choice((_flip, _flip, _flip, _overwrite, _insert, _delete))(out, at, rng)
    return bytes(out)


def _flip(out: bytearray, at: int, rng: random.Random) -> None:
    out[at] ^= 1 << rng.randrange(8)


def _overwrite(out: bytearray, at: int, rng: random.Random) -> None:
    wild = rng.choice((*WILD, bytes([rng.randrange(256)])))
    out[at : at + len(wild)] = wild


def _insert(out: bytearray, at: int, rng: random.Random) -> None:
    out[at:at] = rng.choice(WILD) * rng.choice((1, 1, 200))


def _delete(out: bytearray, at: int, rng: random.Random) -> None:
    end = len(out) if rng.random() < 0.2 else at + rng.randint(1, 16)
    del out[at:end]


def run(targets: tuple[Target, ...], count: int, *, seed: int) -> dict[str, Counter[str]]:
    """Damage ``count`` files in turn; return what became of them, by target.

    A key that begins with ``escaped`` names an error that is none of anomri's.
    """
    rng = random.Random(seed)  # noqa: S311 - damage, not a secret
    counts: dict[str, Counter[str]] = {target.name: Counter() for target in targets}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            target = targets[number % len(targets)]
            content = damaged(rng.choice(target.intact), rng)
            path = Path(folder, target.name)
            path.write_bytes(gzip.compress(content, 1) if target.packed else content)
            counts[target.name][_outcome(target, path)] += 1
    return counts


def _outcome(target: Target, path: Path) -> str:
    try:
        target.read(path)
    except AnomriError as error:
        return "refused" if path.name in str(error) else f"escaped without a name: {error}"
    except Exception as error:
        return f"escaped {type(error).__name__}: {error}"
    return "read"


def images() -> tuple[Target, ...]:
    """NIfTI and MGH, packed and not."""
    values = np.random.default_rng(0).normal(100, 10, SHAPE)
    first = [
        nib.Nifti1Image(values.astype(kind), np.eye(4)).to_bytes()
        for kind in (np.int16, np.float32, np.uint8)
    ]
    second = nib.Nifti2Image(values.astype(np.int16), np.eye(4)).to_bytes()
    mgh = nib.MGHImage(values.astype(np.float32), np.eye(4)).to_bytes()
    return (
        Target("plain.nii", (*first, second), read_volume),
        Target("packed.nii.gz", (*first, second), read_volume, packed=True),
        Target("labels.nii", (first[2],), read_labels),
        Target("stream.nii.gz", tuple(gzip.compress(raw) for raw in first), read_volume),
        Target("plain.mgh", (mgh,), read_volume),
        Target("packed.mgz", (mgh,), read_volume, packed=True),
    )


def documents() -> tuple[Target, ...]:
    """Recipes, fitted thresholds, sidecars, plain JSON and tables."""
    recipes = tuple((BUILTIN / f"{name}.yaml").read_bytes() for name in builtin_names())
    entry = {"value": 2.5, "rule": "healthy", "fitted_on": ["a"], "false_positive_ml": 1.0}
    marked = {"mean_ml": 1.0, "median_ml": 1.0, "upper_ml": 2.0, "scans": 3}
    thresholds = json.dumps({"healthy": {**entry, "marked": marked}}).encode()
    table = b"subject\tdice\tnote\na\t0.5\t=1+1\nb\tn/a\tx\n"

    def sidecar(path: Path) -> object:
        return read_json(path, Record, what="a sidecar")

    return (
        Target("recipe.yaml", recipes, Recipe.load),
        Target("thresholds.json", (thresholds,), read_thresholds),
        Target("sidecar.json", (_record().to_json().encode(),), sidecar),
        Target("object.json", (thresholds,), lambda p: read_json(p, dict[str, Any], what="JSON")),
        Target("table.tsv", (table,), read_tsv),
    )


def slices() -> tuple[Target, ...]:
    """TIFF, PNG and DICOM."""
    values = np.random.default_rng(0).integers(0, 255, (12, 10, 3), dtype=np.uint8)
    options: tuple[dict[str, Any], ...] = (
        {}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 4}, {"bigtiff": True},
    )  # fmt: skip
    tiffs = []
    for option in options:
        stream = io.BytesIO()
        tifffile.imwrite(stream, values, photometric="rgb", **option)
        tiffs.append(stream.getvalue())
    stream = io.BytesIO()
    Image.fromarray(values[..., 0]).save(stream, "png")
    return (
        Target("slice.tif", tuple(tiffs), read_tiff),
        Target("slice.png", (stream.getvalue(),), read_png),
        Target("slice.dcm", (_dicom(),), _listed),
    )


GROUPS: Mapping[str, Callable[[], tuple[Target, ...]]] = {
    "images": images,
    "documents": documents,
    "slices": slices,
}


def _listed(path: Path) -> None:
    """Read a header as listing does; a file that is left out with a reason was refused."""
    found, left = read_series([path])
    for series in found:
        str((series.fault(), series.name, series.description, series.slices))
    for _, reason in left:
        raise AnomriError(f"{path.name}: {reason}")


def _dicom() -> bytes:
    import pydicom

    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.MRImageStorage, pydicom.uid.UID("1.2.3.1")
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3.2", "1.2.3.3"
    data.Modality, data.SeriesNumber, data.SeriesDescription = "MR", 5, "t2_flair"
    data.EchoTime, data.RepetitionTime, data.InversionTime = 100, 9000, 2500
    data.NumberOfFrames = 1
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, 5], [1, 0, 0, 0, 1, 0]
    data.Rows, data.Columns, data.SamplesPerPixel, data.BitsAllocated = 4, 4, 1, 16
    data.PixelData = bytes(32)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _record() -> Record:
    return Record.model_validate(
        {
            **{"subject": "a", "label": "sub-a", "contrasts": ["flair"], "units": "u"},
            "threshold": {
                **{"value": 1.0, "rule": "fixed", "fitted_on": 0},
                "expected_false_positive_ml": None,
            },
            **{"lesion_volume_ml": 1.0, "scan_score": 1.0, "highest_slice_score": 1.0},
            "findings": [{"number": 1, "volume_ml": 1, "centre_mm": [0, 0, 0], "peak": 2.0}],
            **{"brain_volume_ml": 1000.0, "spacing_mm": [1, 1, 1]},
            "provenance": {"detection": {"clean": [{"name": "median", "options": {}}]}},
        }
    )


def main() -> None:
    """Print a table in Markdown: one line per kind of file."""
    logging.disable(logging.CRITICAL)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("| group | file | damaged | read | refused | escaped |")
    print("|---|---|---:|---:|---:|---:|")
    for seed, (group, targets) in enumerate(GROUPS.items()):
        for name, found in run(targets(), count, seed=seed).items():
            escaped = found.total() - found["read"] - found["refused"]
            cells = (found.total(), found["read"], found["refused"], escaped)
            print(f"| {group} | `{name}` | {' | '.join(map(str, cells))} |", flush=True)
            for way, times in found.items():
                if way not in ("read", "refused"):
                    print(f"  {times} x {way[:200]}", file=sys.stderr)


if __name__ == "__main__":
    main()
