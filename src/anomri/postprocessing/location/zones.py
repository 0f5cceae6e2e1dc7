"""Side and zone of each lesion, as radiologists and the McDonald criteria of 2017 name them.

In this order, so that a lesion has one zone (Thompson et al., Lancet Neurology 2018;17:162-173):

1. infratentorial: most of it lies in the brain stem or the cerebellum;
2. periventricular: it comes within 5 mm of the lateral or third ventricles;
3. juxtacortical/cortical: it comes within 6 mm of the outside of the brain or the fluid of a
   sulcus, which is where the cortex is;
4. deep white matter: all else, the deep nuclei included.

The distances allow for one voxel of 2 mm and for partial volume; they were chosen on the training
subjects of a set with anatomy labels: ``docs/location.md``. Tissue that a mass displaces, or whose
place fluid has taken after a resection, is not where these rules expect it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.postprocessing.components import findings, number_lesions
from anomri.postprocessing.location.fluid import BRIGHT, FluidSpaces, fluid_spaces
from anomri.postprocessing.location.lesion_position import MIDLINE_MM, Places
from anomri.scan import Anatomy, AnomalyMap, Finding, Location, Mask, Scan, Side, Zone

VENTRICLE_MM = 5.0
SURFACE_MM = 6.0
CORTEX_MM = 2.0  # of the template's cortex, where the scan shows no fluid
BOTH_SHARE = 0.1  # of a lesion on its lesser side


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What the zones are read from; ``cortex`` is None where the scan shows fluid."""

    infratentorial: Mask
    spaces: FluidSpaces
    cortex: Mask | None

    def zone(self, box: tuple[slice, ...], lesion: Mask) -> Zone:
        """Return the zone of a lesion, given as the voxels of a box."""
        if self.infratentorial[box][lesion].mean() > 0.5:
            return Zone.INFRATENTORIAL
        if self.spaces.near_ventricles(box, VENTRICLE_MM)[lesion].any():
            return Zone.PERIVENTRICULAR
        return Zone.JUXTACORTICAL if self._near_cortex(box)[lesion].any() else Zone.DEEP

    def _near_cortex(self, box: tuple[slice, ...]) -> Mask:
        if self.cortex is None:
            return self.spaces.near_surface(box, SURFACE_MM)
        return self.cortex[box]


def located_findings(
    mask: Mask,
    anomaly: AnomalyMap,
    nearby: Sequence[Mask],
    make_anatomy: Callable[[], Anatomy | None],
) -> tuple[Finding, ...]:
    """List the lesions of a mask with their side and zone.

    Args:
        mask: (I, J, K) bool, all lesions.
        anomaly: as for :func:`anomri.postprocessing.findings`.
        nearby: likewise.
        make_anatomy: as for :func:`with_locations`.
    """
    return with_locations(findings(mask, anomaly, nearby), mask, anomaly, make_anatomy)


def with_locations(
    lesions: Sequence[Finding],
    mask: Mask,
    anomaly: AnomalyMap,
    make_anatomy: Callable[[], Anatomy | None],
) -> tuple[Finding, ...]:
    """Return the findings with their side and zone.

    Args:
        lesions: of the mask.
        mask: (I, J, K) bool, all of them.
        anomaly: map that the findings were listed with.
        make_anatomy: returns the template's anatomy on the grid of the mask; None for an
            unregistered scan, whose lesions have a side of the brain's own midline and no zone.
    """
    if not lesions:
        return ()
    scan, anatomy = anomaly.scan, make_anatomy()
    row = _lateral_row(scan)
    around = None if anatomy is None else _surroundings(scan, mask, anatomy)
    numbers = number_lesions(mask, anomaly)
    boxes = ndimage.find_objects(numbers)

    def located(finding: Finding) -> Finding:
        box = boxes[finding.number - 1]
        lesion = numbers[box] == finding.number
        corner = np.reshape([part.start for part in box], (3, 1))
        side = side_of(row[:3] @ (np.stack(np.nonzero(lesion)) + corner) + row[3])
        zone = None if around is None else around.zone(box, lesion)
        return replace(finding, location=Location(side, zone))

    return tuple(map(located, lesions))


def side_of(lateral_mm: NDArray[np.float64]) -> Side:
    """Return the side of a lesion whose voxels lie this far to the right of the midline, in mm.

    >>> side_of(np.array([-30.0, -20.0])), side_of(np.array([-3.0, 3.0]))
    (<Side.LEFT: 'left'>, <Side.MIDLINE: 'midline'>)
    >>> side_of(np.array([-30.0, 20.0]))
    <Side.BOTH: 'both'>
    """
    left = float(np.mean(lateral_mm < -MIDLINE_MM))
    right = float(np.mean(lateral_mm > MIDLINE_MM))
    if min(left, right) >= BOTH_SHARE:
        return Side.BOTH
    if max(left, right) < 0.5:
        return Side.MIDLINE
    return Side.LEFT if left > right else Side.RIGHT


def _lateral_row(scan: Scan) -> NDArray[np.float64]:
    """Return (4,) weights that map a voxel to its mm right of the midline, homogeneously."""
    if scan.to_template is not None:
        return np.asarray((scan.to_template @ scan.grid.affine)[0])
    row: NDArray[np.float64] = scan.grid.affine[0].copy()
    row[3] -= Places.of(scan.brain, scan.grid).midline_mm
    return row


def _surroundings(scan: Scan, mask: Mask, anatomy: Anatomy) -> _Surroundings:
    spaces = fluid_spaces(
        scan.image[0],
        scan.brain,
        mask,
        anatomy,
        scan.grid.spacing,
        bright=scan.contrasts[0] in BRIGHT,
    )
    cortex = anatomy.make_cortex_mm() <= CORTEX_MM if spaces.fluid is None else None
    return _Surroundings(anatomy.infratentorial, spaces, cortex)
