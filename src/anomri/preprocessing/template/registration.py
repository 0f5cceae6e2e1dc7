"""Rigid and affine registration by mutual information, with reproducible results.

SimpleITK maximises Mattes' mutual information (32 bins) within a mask, coarse to fine, by regular
step gradient descent. It uses one thread and every voxel of the mask, because multi-threaded sums
and random sampling would differ from run to run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anomri.preprocessing.template.registration_image import RegistrationImage
from anomri.scan import Affine

TransformType = Literal["rigid", "affine"]

BINS = 32
COARSE = (4,)  # shrink factors of each level
MEDIUM = (2,)
FINE = (2, 1)
MAX_ITERATIONS = 60  # per level


@dataclass(frozen=True, slots=True)
class RegistrationResult:
    """A transform between two images, and their similarity under it.

    Attributes:
        matrix: (4, 4) world mm of the fixed image to world mm of the moving one.
        mutual_information: higher is better; comparable only for the same pair of images at the
            same resolution.
        coarse: the rigid registration that a rough affine one started from.
    """

    matrix: Affine
    mutual_information: float
    coarse: RegistrationResult | None = None

    @property
    def scales(self) -> NDArray[np.float64]:
        """(3,) scale factors from the fixed to the moving image: singular values of the matrix."""
        scales = np.linalg.svd(self.matrix[:3, :3], compute_uv=False)
        return np.asarray(scales, dtype=np.float64)

    @property
    def rotation_deg(self) -> float:
        """Angle in degrees of the rotation closest to the matrix."""
        left, _, right = np.linalg.svd(self.matrix[:3, :3])
        cosine = (np.trace(left @ right) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def displacement_mm(self, point: NDArray[np.float64]) -> float:
        """Return how far the transform moves a point, (3,) world mm of the fixed image."""
        moved = self.matrix[:3, :3] @ point + self.matrix[:3, 3]
        return float(np.linalg.norm(moved - point))


def centre_of_mass_transform(
    fixed: RegistrationImage, moving: RegistrationImage, rotation: NDArray[np.float64] | None = None
) -> Affine:
    """Return the (4, 4) initial transform that aligns the centres of mass of both masks.

    Args:
        fixed: reference image.
        moving: image to register.
        rotation: (3, 3) rotation about the centre; none by default.
    """
    initial = np.eye(4)
    initial[:3, :3] = np.eye(3) if rotation is None else rotation
    initial[:3, 3] = moving.centre - initial[:3, :3] @ fixed.centre
    return initial


def best_initial_transform(
    fixed: RegistrationImage,
    moving: RegistrationImage,
    candidates: Sequence[Affine],
    first: RegistrationResult | None = None,
) -> tuple[int, list[RegistrationResult]]:
    """Refine each initial transform at the coarsest level.

    Args:
        fixed: reference image.
        moving: image to register.
        candidates: initial transforms.
        first: result of the first candidate, where it is known.

    Returns:
        The index of the best candidate, and the results of all.
    """
    known = [] if first is None else [first]
    results = known + [
        _optimise(fixed, moving, "rigid", initial, COARSE) for initial in candidates[len(known) :]
    ]
    return int(np.argmax([result.mutual_information for result in results])), results


def register(
    fixed: RegistrationImage, moving: RegistrationImage, transform: TransformType, initial: Affine
) -> RegistrationResult:
    """Register two images; an affine registration starts from the rigid one.

    Args:
        fixed: reference image; only voxels inside its mask count.
        moving: image to register.
        transform: rigid or affine.
        initial: (4, 4) rotation and translation, fixed world mm to moving world mm.
    """
    rigid = _optimise(fixed, moving, "rigid", initial, FINE)
    if transform == "rigid":
        return rigid
    return _optimise(fixed, moving, "affine", rigid.matrix, FINE)


def register_coarsely(fixed: RegistrationImage, moving: RegistrationImage) -> RegistrationResult:
    """Return a rough affine registration that starts from the headers' orientation."""
    rigid = _optimise(fixed, moving, "rigid", centre_of_mass_transform(fixed, moving), COARSE)
    return replace(_optimise(fixed, moving, "affine", rigid.matrix, MEDIUM), coarse=rigid)


def refine_affine(
    fixed: RegistrationImage, moving: RegistrationImage, initial: Affine
) -> RegistrationResult:
    """Return an affine registration that starts close to the result."""
    return _optimise(fixed, moving, "affine", initial, MEDIUM)


def _optimise(
    fixed: RegistrationImage,
    moving: RegistrationImage,
    transform_type: TransformType,
    initial: Affine,
    levels: Sequence[int],
) -> RegistrationResult:
    transform = _itk_transform(transform_type, initial, fixed.centre)
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetMetricFixedMask(fixed.mask_image)
    method.SetMetricMovingMask(moving.field_of_view_image)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.02, numberOfIterations=MAX_ITERATIONS, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(levels))
    method.SetSmoothingSigmasPerLevel([level / 2 if level > 1 else 0 for level in levels])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(False)
    method.SetInitialTransform(transform, inPlace=True)
    with _one_thread():
        method.Execute(fixed.image, moving.image)
    return RegistrationResult(_matrix(transform), -float(method.GetMetricValue()))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit ITK's metric to one thread; it only obeys the process-wide setting."""
    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _itk_transform(
    transform_type: TransformType, initial: Affine, centre: NDArray[np.float64]
) -> Any:
    """Return an initial matrix as an ITK transform about a centre.

    Euler angles, because a versor cannot be optimised near a half turn.
    """
    rigid = transform_type == "rigid"
    transform: Any = SimpleITK.Euler3DTransform() if rigid else SimpleITK.AffineTransform(3)
    transform.SetCenter([float(mm) for mm in centre])
    matrix = [float(value) for value in initial[:3, :3].ravel()]
    # A matrix that went through single precision is a rotation only within a tolerance.
    transform.SetMatrix(matrix, *([1e-6] if rigid else []))
    moved = initial[:3, :3] @ centre + initial[:3, 3] - centre
    transform.SetTranslation([float(mm) for mm in moved])
    return transform


def _matrix(transform: Any) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return matrix
