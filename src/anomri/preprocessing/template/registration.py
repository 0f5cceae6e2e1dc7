"""Rigid and affine registration by mutual information, the same on every run.

Mattes' mutual information (32 bins) over a mask, from coarse to fine, by regular steps down its
gradient. One thread, and every voxel of the mask: sums of several threads, and drawn samples,
would differ from run to run.

SimpleITK does the work: it is a dependency already and its wheels exist for every platform.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anomri.preprocessing.template.registration_image import RegistrationImage
from anomri.scan import Affine

Kind = Literal["rigid", "affine"]

BINS = 32
COARSE = (4,)
MIDDLE = (2,)
FINE = (2, 1)
STEPS = 60  # at most, per level


@dataclass(frozen=True, slots=True)
class Match:
    """How two pictures lie on each other.

    Attributes:
        matrix: (4, 4) world mm of the fixed picture to world mm of the moving one.
        likeness: mutual information, higher is better; comparable for one pair of pictures at
            one resolution only.
    """

    matrix: Affine
    likeness: float

    @property
    def scales(self) -> NDArray[np.float64]:
        """(3,) singular values: how much larger the moving one is along its main axes."""
        scales = np.linalg.svd(self.matrix[:3, :3], compute_uv=False)
        return np.asarray(scales, dtype=np.float64)

    @property
    def turn_deg(self) -> float:
        """Angle of the rotation nearest to the matrix."""
        left, _, right = np.linalg.svd(self.matrix[:3, :3])
        cosine = (np.trace(left @ right) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def shift_mm(self, point: NDArray[np.float64]) -> float:
        """How far a point of the fixed picture moves."""
        moved = self.matrix[:3, :3] @ point + self.matrix[:3, 3]
        return float(np.linalg.norm(moved - point))


def centred(
    fixed: RegistrationImage, moving: RegistrationImage, turn: NDArray[np.float64] | None = None
) -> Affine:
    """Return the start that lays the two centres of mass onto each other.

    Args:
        fixed: stays.
        moving: is laid onto it.
        turn: (3, 3) rotation about the centre; none by default.
    """
    start = np.eye(4)
    start[:3, :3] = np.eye(3) if turn is None else turn
    start[:3, 3] = moving.centre - start[:3, :3] @ fixed.centre
    return start


def best_start(
    fixed: RegistrationImage, moving: RegistrationImage, starts: Sequence[Affine]
) -> tuple[int, list[Match]]:
    """Try each start at the coarsest resolution; return the best one's place, and all of them."""
    tried = [_descend(fixed, moving, "rigid", start, COARSE) for start in starts]
    return int(np.argmax([match.likeness for match in tried])), tried


def register(
    fixed: RegistrationImage, moving: RegistrationImage, kind: Kind, start: Affine
) -> Match:
    """Return the match found from a start; an affine one is started from the rigid one.

    Args:
        fixed: stays; its mask says where to look.
        moving: is laid onto it.
        kind: rigid or affine.
        start: (4, 4) rotation and shift, fixed world mm to moving world mm.
    """
    rigid = _descend(fixed, moving, "rigid", start, FINE)
    if kind == "rigid":
        return rigid
    return _descend(fixed, moving, "affine", rigid.matrix, FINE)


def quick(fixed: RegistrationImage, moving: RegistrationImage) -> Match:
    """Return a rough affine match from the header's start: a rigid step, then one of all sizes."""
    rigid = _descend(fixed, moving, "rigid", centred(fixed, moving), COARSE)
    return _descend(fixed, moving, "affine", rigid.matrix, MIDDLE)


def _descend(
    fixed: RegistrationImage,
    moving: RegistrationImage,
    kind: Kind,
    start: Affine,
    levels: Sequence[int],
) -> Match:
    transform = _transform(kind, start, fixed.centre)
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetMetricFixedMask(fixed.mask_image)
    method.SetMetricMovingMask(moving.seen_image)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.02, numberOfIterations=STEPS, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(levels))
    method.SetSmoothingSigmasPerLevel([level / 2 if level > 1 else 0 for level in levels])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(False)
    method.SetInitialTransform(transform, inPlace=True)
    with _one_thread():
        method.Execute(fixed.image, moving.image)
    return Match(_matrix(transform), -float(method.GetMetricValue()))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let ITK's metric, which asks nobody but the process, use one thread too."""
    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _transform(kind: Kind, start: Affine, centre: NDArray[np.float64]) -> Any:
    """Return the start as a transform that turns about a centre.

    Euler's angles, because a versor cannot be refined around half a turn.
    """
    rigid = kind == "rigid"
    transform: Any = SimpleITK.Euler3DTransform() if rigid else SimpleITK.AffineTransform(3)
    transform.SetCenter([float(mm) for mm in centre])
    matrix = [float(value) for value in start[:3, :3].ravel()]
    # A rotation that went through single precision is one only within a tolerance.
    transform.SetMatrix(matrix, *([1e-6] if rigid else []))
    moved = start[:3, :3] @ centre + start[:3, 3] - centre
    transform.SetTranslation([float(mm) for mm in moved])
    return transform


def _matrix(transform: Any) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return matrix
