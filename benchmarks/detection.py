"""Detection of one volume against the least it must do: read, forward pass, write.

Whole `detect` (one scan, everything it writes, no page) and the three bare parts run in turn on
the same synthetic 240 x 240 x 155 scan, several rounds; the median of the rounds' ratios counts.

    python benchmarks/detection.py [--family vae] [--rounds 5]
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import tempfile
import time
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from anomri import pipeline
from anomri.detector import Detector
from anomri.models import Reconstructor, build_recipe_network
from anomri.recipe import Preparation, Recipe, Step

SHAPE = (240, 240, 155)
SLICE = 128
WRITTEN = 3  # maps per scan: anomaly, reconstruction and, together, the masks


def brain() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return smooth noise in an ellipsoid of 1.5 million voxels, 0 around it."""
    grid = np.indices(SHAPE, dtype=np.float32)
    centre = np.array([120, 120, 77], np.float32)[:, None, None, None]
    half = np.array([68, 82, 66], np.float32)[:, None, None, None]
    inside = (((grid - centre) / half) ** 2).sum(axis=0) < 1
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    values = 300 + 200 * ndimage.gaussian_filter(noise, 1)
    return np.where(inside, values, 0).astype(np.float32).round()


def detector(family: str) -> Detector:
    """Return an untrained model of a family: training does not change how long it takes."""
    recipe = Recipe(
        name=family,
        family=Step(name=family),
        preparation=Preparation(spacing_mm=(1.40625, 1.40625, None), shape=(SLICE, SLICE, None)),
    )
    return Detector.of(recipe, [build_recipe_network(recipe)])


def bare(path: Path, model: Detector, out: Path) -> dict[str, float]:
    """Read the file, pass as many slices through the network, write as many bytes."""
    seconds = {}
    start = time.perf_counter()
    values = nib.Nifti1Image.from_filename(path).get_fdata(dtype=np.float32)
    seconds["read"] = time.perf_counter() - start
    slices = torch.from_numpy(values[56:184, 56:184].transpose(2, 0, 1)[:, None].copy())
    network = cast(Reconstructor, model.first.networks[0])
    start = time.perf_counter()
    with torch.inference_mode():
        for part in torch.split(slices, 32):
            network.reconstruct(part)
    seconds["forward"] = time.perf_counter() - start
    start = time.perf_counter()
    for number in range(WRITTEN):
        content = gzip.compress(nib.Nifti1Image(values, np.eye(4)).to_bytes(), 1)
        (out / f"{number}.nii.gz").write_bytes(content)
    seconds["write"] = time.perf_counter() - start
    return seconds


def whole(folder: Path, model: Detector, out: Path) -> float:
    found = pipeline.find_scans(folder, layout="folder")
    start = time.perf_counter()
    outcome = pipeline.detect(found, model, out)
    if outcome.failures:
        raise SystemExit(f"nothing to time: {outcome.failures}")
    return time.perf_counter() - start


def measure(family: str, rounds: int, root: Path) -> list[dict[str, float]]:
    folder = root / "case"
    folder.mkdir()
    path = folder / "flair.nii.gz"
    nib.save(nib.Nifti1Image(brain().astype(np.int16), np.eye(4)), path)
    model = detector(family)
    results = []
    for number in range(rounds + 1):  # the first warms up
        (out := root / f"bare{number}").mkdir()
        parts = bare(path, model, out)
        results.append({**parts, "detect": whole(folder, model, root / f"out{number}")})
    return results[1:]


def report(results: list[dict[str, float]]) -> None:
    parts = ("read", "forward", "write")

    def median(name: str) -> float:
        return statistics.median(r[name] for r in results)

    for name in (*parts, "detect"):
        print(f"{name:10s} {median(name):7.2f} s")
    ratios = [r["detect"] / sum(r[part] for part in parts) for r in results]
    print(f"detect / (read + forward + write): {statistics.median(ratios):.2f}", end="")
    print(f"  ({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="vae")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        report(measure(options.family, options.rounds, Path(root)))


if __name__ == "__main__":
    main()
