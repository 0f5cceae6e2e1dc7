"""Do the zones of lesions agree with anatomy labels?

    python benchmarks/location.py DATA

``DATA`` holds ``nichart``: FLAIR, automatic anatomy labels (MUSE numbers) and automatic lesions. A
lesion of at least 4 voxels is infratentorial where most of it lies in the labels of brain stem and
cerebellum, periventricular where it touches the ventricles, juxtacortical where it touches the
cortex, else deep. Subjects whose FLAIR and labels do not match (Dice of the ventricles below 0.5)
are left out. The distances of the rules were chosen on these scans.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.datasets import find
from anomri.postprocessing import findings, number_lesions, with_locations
from anomri.postprocessing.location.fluid import fluid_spaces
from anomri.preprocessing import anatomy_on, grid_to_ras, read_truth, read_volume, volume_to_ras
from anomri.preprocessing.template.contrast_check import compare_with_template
from anomri.scan import AnomalyMap, Mask, Scan, ScanFiles, Zone

INFRATENTORIAL = (11, 35, 38, 39, 40, 41, 71, 72, 73)
LATERAL_VENTRICLES, VENTRICLES = (49, 50, 51, 52), (4, 49, 50, 51, 52)
FIRST_CORTEX = 100
TOUCHING_MM = 2.1  # one voxel
MIN_VOXELS = 4
MIN_DICE = 0.5
ZONES = tuple(Zone)


@dataclass(frozen=True)
class Subject:
    """A prepared scan, its anatomy labels and its lesions, on one grid."""

    scan: Scan
    labels: NDArray[np.uint8]
    lesions: Mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    table = np.zeros((len(ZONES), len(ZONES)), int)
    for files in find(parser.parse_args().data / "nichart").scans:
        subject = read(files)
        dice, below = ventricle_dice(subject), infratentorial_dice(subject)
        print(f"{files.subject}: ventricles {dice:.2f}, infratentorial {below:.2f}", flush=True)
        if dice >= MIN_DICE:
            for expected, got in zones(subject):
                table[ZONES.index(expected), ZONES.index(got)] += 1
    print("rows: by the labels; columns: named;", ", ".join(ZONES))
    print(table)
    print(f"{np.trace(table)} of {table.sum()} lesions agree")


def read(files: ScanFiles) -> Subject:
    """Read a subject whose brain is that of the labels, so that no brain has to be found."""
    assert files.brain is not None and files.truth is not None  # noqa: PT018, S101
    values, grid = read_volume(files.contrasts["flair"])
    oriented = grid_to_ras(grid)
    flair = volume_to_ras(values, grid)
    labels, lesions = (
        volume_to_ras(read_truth(path, grid, mask_grid="header"), grid)
        for path in (files.brain, files.truth)
    )
    closed = ndimage.binary_closing(labels > 0, iterations=2)
    brain = np.asarray(ndimage.binary_fill_holes(closed))
    comparison = compare_with_template(flair[None], brain, oriented, ("flair",))
    scan = Scan(
        subject=files.subject,
        label=files.label,
        image=np.where(brain, flair, 0)[None],
        contrasts=("flair",),
        brain=brain,
        grid=oriented,
        native=grid,
        to_template=comparison.to_template,
    )
    return Subject(scan, labels, (lesions > 0) & brain)


def ventricle_dice(subject: Subject) -> float:
    scan = subject.scan
    anatomy = anatomy_on(scan.grid, scan.to_template)
    if anatomy is None:
        return 0.0
    spaces = fluid_spaces(scan.image[0], scan.brain, subject.lesions, anatomy, scan.grid.spacing)
    everywhere = tuple(slice(0, n) for n in scan.grid.shape)
    return overlap(
        spaces.near_ventricles(everywhere, 0), np.isin(subject.labels, LATERAL_VENTRICLES)
    )


def infratentorial_dice(subject: Subject) -> float:
    anatomy = anatomy_on(subject.scan.grid, subject.scan.to_template)
    if anatomy is None:
        return 0.0
    named = anatomy.infratentorial & subject.scan.brain
    return overlap(named, np.isin(subject.labels, INFRATENTORIAL))


def overlap(first: Mask, second: Mask) -> float:
    return float(2 * (first & second).sum() / max(first.sum() + second.sum(), 1))


def zones(subject: Subject) -> Iterator[tuple[Zone, Zone]]:
    """Yield the zone by the labels and the zone named, of each lesion."""
    scan = subject.scan
    anomaly = AnomalyMap(scan=scan, values=scan.image, reconstruction=scan.image, score="lesions")
    anatomy = partial(anatomy_on, scan.grid, scan.to_template)
    found = with_locations(findings(subject.lesions, anomaly), subject.lesions, anomaly, anatomy)
    numbers = number_lesions(subject.lesions, anomaly)
    spacing = scan.grid.spacing
    below = np.isin(subject.labels, INFRATENTORIAL)
    ventricle_mm, cortex_mm = (
        ndimage.distance_transform_edt(~mask, sampling=spacing)
        for mask in (np.isin(subject.labels, VENTRICLES), subject.labels >= FIRST_CORTEX)
    )
    for finding in found:
        lesion = numbers == finding.number
        if lesion.sum() < MIN_VOXELS or finding.location is None or finding.location.zone is None:
            continue
        if below[lesion].mean() > 0.5:
            expected = Zone.INFRATENTORIAL
        elif ventricle_mm[lesion].min() <= TOUCHING_MM:
            expected = Zone.PERIVENTRICULAR
        elif cortex_mm[lesion].min() <= TOUCHING_MM:
            expected = Zone.JUXTACORTICAL
        else:
            expected = Zone.DEEP
        yield expected, finding.location.zone


if __name__ == "__main__":
    main()
