"""Where a brain lies in the MNI152 template.

The template that nilearn carries (ICBM 152 2009a, symmetric) is skull-stripped. Laid on a head it
stretches over the scalp, so the brain alone is registered to it, and gates look at the result:
the sizes, the handedness, the overlap of the two brains, and whether the header tells the truth
about front, back, top and bottom. Left and right cannot be told apart: the template is symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.errors import MissingPiece, QualityRefused
from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.resampling import index_map, sample
from anomri.preprocessing.template.registration import Kind, Match, best_start, centred, register
from anomri.preprocessing.template.registration_image import RegistrationImage, coarse, within
from anomri.scan import Affine, Grid, Mask, Volume

SPACE = "MNI152NLin2009aSym"  # its name in BIDS
FILE = Path("datasets", "data", "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")

SIDE_MM = 3.0
RIM = 2  # voxels around the template's brain that take part, so that its outline does
SCALES = (0.75, 1.3)
MIN_OVERLAP = {"rigid": 0.7, "affine": 0.85}  # a rigid one leaves the sizes as they are
MIN_COVERED = 0.4  # of the template's brain within the field of view
TURNS = ("", "left-right", "back-front", "foot-head")
CLEARLY_BETTER = 1.05  # likeness of a turned start, relative to the header's

TURN_BACK = "repair the orientation in the header, or convert the DICOM files again"
_LOOK = "look at the scan and its brain mask; leave `template` out of the recipe to go without"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a scan lies in the template.

    Attributes:
        to_template: (4, 4) native world mm to template mm.
        overlap: Dice of the two brains, within the scan's field of view.
        covered: share of the template's brain that the field of view holds.
    """

    to_template: Affine
    overlap: float
    covered: float


@cache
def template() -> tuple[Volume, Grid]:
    """Return the stripped T1 template on its 1 mm grid.

    Raises:
        MissingPiece: the installed nilearn does not carry it.
    """
    path = carried(FILE)
    image = nib.Nifti1Image.from_filename(path)
    values: Volume = image.get_fdata(dtype=np.float32)
    i, j, k = image.shape
    return values, Grid(shape=(i, j, k), affine=np.asarray(image.affine, dtype=np.float64))


def carried(file: Path) -> Path:
    """Return the path of a file that nilearn carries.

    Raises:
        MissingPiece: the installed nilearn does not.
    """
    # Looking nilearn up does not import it, which would take a second.
    found = find_spec("nilearn")
    path = Path(found.origin).parent / file if found and found.origin else None
    if path is None or not path.is_file():
        raise MissingPiece(
            f"{file.name}: expected the MNI152 template in the installed nilearn, found none. "
            "Next: `pip install 'nilearn>=0.14'`."
        )
    return path


def locate(volume: Volume, brain: Mask, grid: Grid, kind: Kind, name: str) -> Placement:
    """Register a brain to the template.

    Args:
        volume: (I, J, K) of any contrast.
        brain: (I, J, K).
        grid: where they lie.
        kind: rigid or affine.
        name: of the scan, for the error.

    Raises:
        QualityRefused: the header turns the head, a scale is beyond 0.75 to 1.3, the two brains
            do not overlap, or too little of the brain was scanned.
        MissingPiece: there is no template.
    """
    fixed, moving = template_picture(), coarse(volume, brain, grid, side_mm=SIDE_MM, around=False)
    _refuse_turned(fixed, moving, name)
    match = register(fixed, moving, kind, centred(fixed, moving))
    overlap, covered = overlap_of(fixed, moving, match.matrix)
    _refuse_misfit(match, overlap, covered, kind, name)
    to_template = np.linalg.inv(match.matrix)
    return Placement(np.asarray(to_template, dtype=np.float64), overlap, covered)


def overlap_of(
    fixed: RegistrationImage, moving: RegistrationImage, matrix: Affine
) -> tuple[float, float]:
    """Return the Dice of two brains where the scan looked, and the share that it looked at.

    Args:
        fixed: the template.
        moving: the scan.
        matrix: (4, 4) template mm to native world mm.
    """
    target = Grid(shape=fixed.grid.shape, affine=matrix @ fixed.grid.affine)
    index = index_map(moving.grid, target)
    brain = sample(moving.mask.astype(np.uint8), index, target.shape, linear=False) > 0
    whole = ndimage.binary_erosion(fixed.mask, iterations=RIM)
    seen = whole & within(moving.field, target)
    both, total = np.count_nonzero(brain & seen), np.count_nonzero(brain) + np.count_nonzero(seen)
    return 2 * both / total, np.count_nonzero(seen) / np.count_nonzero(whole)


def template_grid(spacing_mm: float = 1.0) -> Grid:
    """Return the template's own grid, or a coarser one over the same field of view."""
    _, grid = template()
    i, j, k = (int(np.ceil(n / spacing_mm)) for n in grid.shape)
    local = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    return Grid(shape=(i, j, k), affine=grid.affine @ local, sform_code=4)


def template_box() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest template mm of the template's brain, each (3,)."""
    values, grid = template()
    box = brain_box(values > 0)
    ends = np.array([(part.start, part.stop - 1) for part in box], dtype=np.float64).T
    low, high = grid.to_world(ends)
    return low, high


@cache
def template_picture(side_mm: float = SIDE_MM) -> RegistrationImage:
    """Return the template as a registration sees it; its mask is the brain and a rim around it."""
    values, grid = template()
    picture = coarse(values, values > 0, grid, side_mm=side_mm, around=False)
    return replace(picture, mask=ndimage.binary_dilation(picture.mask, iterations=RIM))


def turned_about(fixed: RegistrationImage, moving: RegistrationImage) -> str:
    """Return the axis about which half a turn makes a brain fit the template better, or nothing."""
    turns = [np.eye(3), *(2 * np.diag(axis) - np.eye(3) for axis in np.eye(3))]
    best, tried = best_start(fixed, moving, [centred(fixed, moving, turn) for turn in turns])
    return "" if tried[best].likeness < CLEARLY_BETTER * tried[0].likeness else TURNS[best]


def _refuse_turned(fixed: RegistrationImage, moving: RegistrationImage, name: str) -> None:
    """Refuse a scan whose brain lies in the template better when it is turned by 180 degrees.

    Raises:
        QualityRefused: it does.
    """
    if axis := turned_about(fixed, moving):
        expected, got = told_of_turn(axis)
        raise QualityRefused(name, expected=expected, got=got, next_step=TURN_BACK)


def told_of_turn(axis: str) -> tuple[str, str]:
    """Return what a turned head is told: expected and got."""
    got = f"one that fits the template better by half a turn about the {axis} axis"
    return "a brain that lies as the file's header says", got


def _refuse_misfit(match: Match, overlap: float, covered: float, kind: Kind, name: str) -> None:
    """Refuse a match that cannot be right.

    Raises:
        QualityRefused: with what is wrong.
    """
    scales, handed = match.scales, np.linalg.det(match.matrix[:3, :3]) > 0
    if not handed or scales.min() < SCALES[0] or scales.max() > SCALES[1]:
        got = f"sizes of {scales.min():.2f} to {scales.max():.2f}" if handed else "a mirrored one"
        expected = f"a brain of {SCALES[0]:g} to {SCALES[1]:g} times the template's size"
    elif covered < MIN_COVERED:
        expected = f"a scan of at least {MIN_COVERED:.0%} of the brain"
        got = f"one of {covered:.0%}"
    elif overlap < MIN_OVERLAP[kind]:
        expected = f"a brain that overlaps with the template's by {MIN_OVERLAP[kind]:g} (Dice)"
        got = f"{overlap:.2f}"
    else:
        return
    raise QualityRefused(name, expected=expected, got=got, next_step=_LOOK)
