"""Accuracy of `anomri follow`: phantoms with known growth, repeated scans, mixed-up subjects.

    python benchmarks/follow_up.py phantoms [--subjects 4]
    python benchmarks/follow_up.py repeats SCAN [SCAN ...]
    python benchmarks/follow_up.py subjects RESULTS
    python benchmarks/follow_up.py changes RESULTS LONGITUDINAL_FOLDER

`phantoms` draws lesions of known size into healthy phantoms, moves the second scan in the scanner
and changes its gain; `repeats` compares a scan with a noisier, shifted, rotated and resampled copy;
`subjects` compares every pair of different subjects of a folder of results; `changes` compares
with `gt.nii.gz` of the longitudinal set of open_ms_data.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from anomri.datasets import find
from anomri.detector import load
from anomri.errors import QualityRefused
from anomri.longitudinal import ChangeClass, Evolution, TimePoint, follow, read_time_point
from anomri.pipeline import detect
from anomri.preprocessing import read_truth
from anomri.reporting import read_sound_records
from anomri.synthesis import make_phantoms

GROWTH: dict[str, tuple[float, float]] = {
    "new": (0.0, 1.5),
    "enlarged": (1.2, 3.0),
    "stable": (1.8, 1.8),
    "shrunken": (3.0, 1.2),
    "resolved": (1.5, 0.0),
}
"""Volume in ml of a lesion at both time points, by its class."""
APART_MM = 26.0
PAIR_MM = 19.0  # between two lesions of 1 ml that merge or were split
MOVED = Rotation.from_euler("xyz", (4.0, -6.0, 8.0), degrees=True).as_matrix()
SHIFT_MM = (3.4, -5.2, 2.6)


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("measure", choices=("phantoms", "repeats", "subjects", "changes"))
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    if options.measure == "phantoms":
        measure_phantoms(options.subjects, options.model)
    elif options.measure == "repeats":
        measure_repeats(options.paths, options.model)
    elif options.measure == "subjects":
        measure_subjects(options.paths[0])
    else:
        measure_changes(*options.paths)


def measure_phantoms(subjects: int, model: str) -> None:
    """Print how often each class of change was recognised."""
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantoms(folder / "phantoms", healthy=subjects, gliomas=0, lesions=0, spacing_mm=2.0)
        for number, path in enumerate(sorted(folder.glob("phantoms/sub-*/*_flair.nii.gz"))):
            rng = np.random.default_rng(number)
            head = nib.load(path)
            places = draw_places(rng, head, len(GROWTH) + 2)
            images = [painted(head, plan_of(places, time)) for time in (0, 1)]
            images[1] = moved(images[1], rng)
            evolution = compared(images, folder / str(number), model)
            for kind, found in classes_at(evolution, places).items():
                counts[kind, found] += 1
                print(number, kind, found, flush=True)
    for (kind, found), count in sorted(counts.items()):
        print(f"{kind:10} {found:10} {count}")


def measure_repeats(paths: Sequence[Path], model: str) -> None:
    """Print the classes of lesions between a scan and its repeated copy."""
    for number, path in enumerate(paths):
        rng = np.random.default_rng(number)
        with tempfile.TemporaryDirectory() as name:
            image = nib.load(path)
            evolution = compared([image, moved(image, rng)], Path(name), model)
        kinds = Counter(change.kind.value for change in evolution.changes)
        errors = [change for change in evolution.changes if change.kind is not ChangeClass.STABLE]
        worst = max((abs(change.change_ml or 0) for change in errors), default=0.0)
        agreement = evolution.agreements[1]
        print(f"{number}: {dict(kinds)}, largest change {worst:.2f} ml, {agreement}", flush=True)


def measure_subjects(results: Path) -> None:
    """Print the agreement of every pair of different subjects."""
    records = read_sound_records(results)[0]
    first = {record.label.partition("_")[0]: record for record in reversed(records)}
    refused = 0
    pairs = list(itertools.combinations(first.values(), 2))
    for pair in pairs:
        points = [read_time_point(results, r, contrast=r.contrasts[0]) for r in pair]
        try:
            print("accepted:", follow(points).agreements[1], flush=True)
        except QualityRefused as error:
            refused += 1
            print(error.reason, flush=True)
    print(f"{refused} of {len(pairs)} pairs of different subjects refused")


def measure_changes(results: Path, source: Path) -> None:
    """Print which expert changes were found, and which changes are no expert change."""
    scans = {files.label: files for files in find(source).scans}
    records = read_sound_records(results)[0]
    for subject, group in itertools.groupby(records, lambda r: r.label.partition("_")[0]):
        pair = list(group)
        if len(pair) < 2:
            continue
        files = [scans[record.label].contrasts["flair"] for record in pair]
        points = [
            read_time_point(results, record, contrast="flair", scan=file)
            for record, file in zip(pair, files, strict=True)
        ]
        evolution = follow(points)
        truth = read_truth(files[0].with_name("gt.nii.gz"), evolution.halfway.grid) > 0
        numbers, count = ndimage.label(truth, np.ones((3, 3, 3)))
        sizes = np.bincount(numbers.ravel())[1:] * evolution.halfway.grid.voxel_ml
        everything = evolution.identities[0] + evolution.identities[1] > 0
        changed = np.zeros_like(truth)
        for change in evolution.changes:
            both = (evolution.identities[0] == change.identity) | (
                evolution.identities[1] == change.identity
            )
            hit = float((truth & both).sum() / both.sum())
            print(subject, change.identity, change.kind.value, change.change_ml, f"{hit:.2f}")
            if change.kind is not ChangeClass.STABLE:
                changed |= both
        for least in (0.0, 0.1, 0.3):
            large = [n + 1 for n in range(count) if sizes[n] >= least]
            found = sum(bool(changed[numbers == n].any()) for n in large)
            lesion = sum(bool(everything[numbers == n].any()) for n in large)
            print(
                f"{subject}: of {len(large)} expert changes of {least} ml and more, {found} found "
                f"as a change, {lesion} touched by any lesion"
            )


def compared(images: Sequence[Any], folder: Path, model: str) -> Evolution:
    """Detect in two images and compare them."""
    points: list[TimePoint] = []
    for time, image in enumerate(images):
        place = folder / f"scan{time}"
        place.mkdir(parents=True)
        path = place / "sub-a_FLAIR.nii.gz"
        nib.save(image, path)
        detect(find(path), load(model, device="cpu"), place / "out")
        record = read_sound_records(place / "out")[0][0]
        points.append(read_time_point(place / "out", record, contrast="flair", scan=path))
    return follow(points)


def draw_places(rng: np.random.Generator, head: Any, count: int) -> NDArray[np.float64]:
    """Return voxels of white matter well apart from each other and from the surface."""
    values = np.asarray(head.dataobj, np.float32)
    mm = float(head.header.get_zooms()[0])
    depth = ndimage.distance_transform_edt(values > 0) * mm
    inside = values[depth > 12]
    smooth = ndimage.gaussian_filter(values, 4 / mm)
    usual = np.median(inside)
    candidates = np.argwhere((depth > 16) & (np.abs(smooth - usual) < 0.1 * usual))
    chosen: list[NDArray[np.float64]] = []
    for place in rng.permutation(candidates):
        if all(np.linalg.norm((place - other) * mm) > APART_MM for other in chosen):
            chosen.append(place.astype(np.float64))
        if len(chosen) == count:
            break
    return np.array(chosen)


def plan_of(places: NDArray[np.float64], time: int) -> Iterator[tuple[NDArray[np.float64], float]]:
    """Yield place and volume of each lesion at a time point; the last two merge and split."""
    for place, volumes in zip(places, GROWTH.values(), strict=False):
        yield place, volumes[time]
    for place, joined in zip(places[len(GROWTH) :], (time == 1, time == 0), strict=False):
        half = np.array([0.0, PAIR_MM / 4, 0.0])  # voxels of 2 mm
        yield from ((place - half, 1.0), (place + half, 1.0))
        if joined:
            yield place, 3.5


def painted(head: Any, plan: Iterator[tuple[NDArray[np.float64], float]]) -> Any:
    """Return a head with bright balls of these volumes."""
    values = np.asarray(head.dataobj, np.float32)
    mm = float(head.header.get_zooms()[0])
    usual = float(np.median(values[values > 0]))
    index = np.indices(values.shape, dtype=np.float32)
    share = np.zeros_like(values)
    for place, ml in plan:
        radius = (3 * ml * 1000 / (4 * np.pi)) ** (1 / 3)
        distance = np.linalg.norm(index - place[:, None, None, None], axis=0) * mm
        share = np.maximum(share, np.clip((radius - distance) / mm + 0.5, 0, 1) * (ml > 0))
    return nib.Nifti1Image((values + 0.8 * usual * share).astype(np.float32), head.affine)


def moved(image: Any, rng: np.random.Generator) -> Any:
    """Return the scan in another position, resampled, with another gain and more noise."""
    values = np.asarray(image.dataobj, np.float32)
    turn = np.eye(4)
    turn[:3, :3], turn[:3, 3] = MOVED, SHIFT_MM
    centre = image.affine @ np.append((np.array(values.shape) - 1) / 2, 1.0)
    about = np.eye(4)
    about[:3, 3] = centre[:3]
    affine = np.linalg.inv(about @ turn @ np.linalg.inv(about)) @ image.affine
    index = np.linalg.inv(image.affine) @ affine
    body = ndimage.affine_transform(values, index[:3, :3], index[:3, 3], order=3)
    inside = ndimage.affine_transform(
        (values > 0).astype(np.float32), index[:3, :3], index[:3, 3], order=1
    )
    noise = rng.normal(0, 0.02 * np.percentile(values, 99), values.shape)
    # The head lies elsewhere in the scanner: the header of the copy does not undo the motion.
    noisy = np.where(inside > 0.5, 1.3 * (body + noise), 0).clip(0)
    return nib.Nifti1Image(noisy.astype(np.float32), image.affine)


def classes_at(evolution: Evolution, places: NDArray[np.float64]) -> dict[str, str]:
    """Return the class found at each place of the first scan."""
    native = evolution.points[0].native
    halfway = evolution.halfway
    found = {}
    for kind, place in zip((*GROWTH, "merged", "split"), places, strict=False):
        world = halfway.to_halfway[0] @ native.affine @ np.append(place, 1.0)
        near = [
            (float(np.linalg.norm(np.subtract(change.centre_mm, world[:3]))), change)
            for change in evolution.changes
            if change.change_ml is not None
        ]
        distance, nearest = min(near, key=lambda item: item[0], default=(np.inf, None))
        found[kind] = nearest.kind.value if nearest and distance < 10 else "not found"
    return found


if __name__ == "__main__":
    main()
