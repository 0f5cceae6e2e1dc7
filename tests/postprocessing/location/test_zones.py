"""Side and zone of lesions whose place is known because they were put there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from anomri.postprocessing import findings, with_locations
from anomri.preprocessing import anatomy_on, index_map, prepare_images, sample
from anomri.preprocessing.template.mni152 import load_template
from anomri.preprocessing.template.tissues import tissue_map
from anomri.recipe import Preparation
from anomri.scan import (
    AnomalyMap,
    Finding,
    Grid,
    Location,
    Mask,
    NoteKind,
    Scan,
    Side,
    Volume,
    Zone,
)

GREY, WHITE, FLUID, LESION = 105, 100, 20, 200
RADIUS_MM = 4.0
LARGER_MM = 8.0  # how much wider the phantom's ventricles are than the template's
PREPARATION = Preparation(spacing_mm=(None, None, None), shape=(None, None, None))


@dataclass(frozen=True)
class Tissues:
    """The template with large ventricles, every 2 mm."""

    grid: Grid
    image: Volume
    brain: Volume
    ventricle_mm: Volume
    surface_mm: Volume
    white: Volume

    def point(self, suits: Mask) -> tuple[float, float, float]:
        """Return one place where ``suits`` is true, in template mm."""
        i, j, k = self.grid.to_world(np.argwhere(suits)[np.count_nonzero(suits) // 2].astype(float))
        return float(i), float(j), float(k)


@cache
def tissues() -> Tissues:
    values, grid = load_template()
    coarse = Grid(shape=values[::2, ::2, ::2].shape, affine=grid.affine @ np.diag([2, 2, 2, 1.0]))
    grey, white = (tissue_map(name)[::2, ::2, ::2] / np.float32(255) for name in ("gm", "wm"))
    brain = values[::2, ::2, ::2] > 0
    inside = ndimage.distance_transform_edt(brain) * 2
    components, _ = ndimage.label((grey + white < 0.5) & (inside > 22))
    ventricles = components == np.bincount(components[components > 0]).argmax()
    away_mm = ndimage.distance_transform_edt(~ventricles) * 2
    large = (away_mm <= LARGER_MM) & (inside > 15)
    image = GREY * grey + WHITE * white + FLUID * (1 - grey - white).clip(0)
    sulci = ~brain | ((grey + white < 0.5) & ~large)
    return Tissues(
        grid=coarse,
        image=np.where(large, FLUID, image).astype(np.float32),
        brain=brain.astype(np.float32),
        ventricle_mm=(ndimage.distance_transform_edt(~large) * 2).astype(np.float32),
        surface_mm=(ndimage.distance_transform_edt(~sulci) * 2).astype(np.float32),
        white=white.astype(np.float32),
    )


@cache
def lesions() -> dict[tuple[Side, Zone], tuple[float, float, float]]:
    """Return a place in template mm for lesions of each side and zone."""
    brain = tissues()
    x = brain.grid.affine[0, 0] * np.arange(brain.brain.shape[0])[:, None, None] - 98
    above = np.zeros(brain.brain.shape, bool)
    above[:, :, 45:] = True  # from 18 mm, far from the tentorium
    matter = (brain.white > 0.8) & above
    beside = matter & (brain.ventricle_mm > 4) & (brain.ventricle_mm < 6)
    deep = matter & (brain.ventricle_mm > 14) & (brain.surface_mm > 12)
    superficial = above & (brain.surface_mm > 3) & (brain.surface_mm < 6)
    superficial &= brain.ventricle_mm > 25
    return {
        (Side.LEFT, Zone.PERIVENTRICULAR): brain.point(beside & (x < -12)),
        (Side.RIGHT, Zone.PERIVENTRICULAR): brain.point(beside & (x > 12)),
        (Side.LEFT, Zone.DEEP): brain.point(deep & (x < -12)),
        (Side.RIGHT, Zone.JUXTACORTICAL): brain.point(superficial & (x > 20)),
        (Side.RIGHT, Zone.INFRATENTORIAL): (25, -65, -38),
        (Side.MIDLINE, Zone.INFRATENTORIAL): (0, -28, -32),
    }


def phantom(grid: Grid, to_template: np.ndarray) -> tuple[Volume, Mask]:
    """Return image and lesions of a brain on any grid."""
    brain = tissues()
    matrix = index_map(brain.grid, Grid(shape=grid.shape, affine=to_template @ grid.affine))
    image, inside = (
        sample(volume, matrix, grid.shape, linear=True) for volume in (brain.image, brain.brain)
    )
    noise = np.random.default_rng(0).normal(0, 2, grid.shape)
    mask = lesion_mask(grid, to_template)
    image = np.where(mask, LESION, image + noise)
    return np.where(inside > 0.5, image, 0).astype(np.float32), mask


def lesion_mask(grid: Grid, to_template: np.ndarray) -> Mask:
    mask = np.zeros(grid.shape, bool)
    index = np.moveaxis(np.indices(grid.shape, dtype=float), 0, -1)
    here = Grid(shape=grid.shape, affine=to_template @ grid.affine).to_world(index)
    for place in lesions().values():
        mask |= np.linalg.norm(here - place, axis=-1) <= RADIUS_MM
    return mask


def turned(degrees: tuple[float, float, float], shift: tuple[float, ...]) -> np.ndarray:
    """Return template mm to world mm of a smaller brain, turned and shifted."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0.95 * Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def grid_around(to_world: np.ndarray, spacing: tuple[float, float, float], flip: bool) -> Grid:
    """Return a grid around the head, along the world's axes."""
    shape = tuple(int(length // mm) for length, mm in zip((200, 240, 200), spacing, strict=True))
    affine = np.diag([-spacing[0] if flip else spacing[0], spacing[1], spacing[2], 1.0])
    centre = (to_world @ [0, -18, 5, 1])[:3]
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(shape) / 2)
    return Grid(shape=(shape[0], shape[1], shape[2]), affine=affine)


def located(scan: Scan, mask: Mask) -> tuple[Finding, ...]:
    anomaly = AnomalyMap(scan=scan, values=scan.image, reconstruction=scan.image, score="residual")
    anatomy = partial(anatomy_on, scan.grid, scan.to_template)
    return with_locations(findings(mask, anomaly), mask, anomaly, anatomy)


def expected_at(finding: Finding, to_template: np.ndarray) -> tuple[Side, Zone]:
    """Return what the nearest lesion was put down as."""
    place = (to_template @ [*finding.centre_mm, 1])[:3]
    return min(lesions().items(), key=lambda item: float(np.linalg.norm(item[1] - place)))[0]


@pytest.mark.parametrize(
    ("degrees", "shift", "spacing"),
    [
        ((12, -6, 10), (40, -25, 60), (2.5, 2.5, 2.5)),
        ((-8, 5, -7), (-15, 30, 10), (2.0, 2.0, 5.0)),
    ],
    ids=["turned and shifted", "thick slices"],
)
def test_zones_of_a_brain_with_large_ventricles(
    degrees: tuple[float, float, float],
    shift: tuple[float, float, float],
    spacing: tuple[float, float, float],
) -> None:
    to_world = turned(degrees, shift)
    grid = grid_around(to_world, spacing, flip=spacing[2] > 3)
    image, _ = phantom(grid, np.linalg.inv(to_world))
    scan = prepare_images({"flair": (image, grid.affine)}, PREPARATION, ("flair",))
    mask = lesion_mask(scan.grid, np.linalg.inv(to_world)) & scan.brain
    found = located(scan, mask)
    assert len(found) == len(lesions())
    assert not [note for note in scan.notes if note.kind is NoteKind.LOCATION]
    wrong = [
        (expected_at(finding, np.linalg.inv(to_world)), finding.location)
        for finding in found
        if finding.location is None
        or (finding.location.side, finding.location.zone)
        != expected_at(finding, np.linalg.inv(to_world))
    ]
    assert wrong == []


def test_the_templates_ventricles_and_cortex_count_where_the_scan_shows_no_fluid() -> None:
    grid = grid_around(np.eye(4), (3.0, 3.0, 3.0), flip=False)
    image, mask = phantom(grid, np.eye(4))
    flat = np.where(image > 0, 100, 0).astype(np.float32)[None]
    scan = Scan(
        subject="a",
        label="sub-a",
        image=flat,
        contrasts=("flair",),
        brain=image > 0,
        grid=grid,
        native=grid,
        to_template=np.eye(4),
    )
    zones = [finding.location.zone for finding in located(scan, mask) if finding.location]
    assert set(zones) >= {Zone.INFRATENTORIAL, Zone.JUXTACORTICAL}


def test_fluid_is_bright_in_t2() -> None:
    grid = grid_around(np.eye(4), (3.0, 3.0, 3.0), flip=False)
    image, mask = phantom(grid, np.eye(4))
    brain = image > 0
    scan = Scan(
        subject="a",
        label="sub-a",
        image=np.where(brain, 300 - image, 0)[None],
        contrasts=("t2",),
        brain=brain,
        grid=grid,
        native=grid,
        to_template=np.eye(4),
    )
    zones = {expected_at(f, np.eye(4))[1]: f.location for f in located(scan, mask)}
    periventricular = zones[Zone.PERIVENTRICULAR]
    assert periventricular is not None
    assert periventricular.zone is Zone.PERIVENTRICULAR


def test_an_unregistered_scan_has_sides_and_no_zones(ball_scan: Scan) -> None:
    mask = ball_scan.image[0] > 2
    (finding,) = located(replace(ball_scan, to_template=None), mask)
    assert finding.location == Location(Side.RIGHT)
