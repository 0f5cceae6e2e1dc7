"""Preparation of one scan against the bare library calls that it cannot do without.

`prepare_scan` with N4, an affine registration to the template and resampling, and the four calls
by themselves (nibabel reads, SimpleITK corrects, registers and resamples), run in turn on the same
phantom, several rounds; the median of the rounds' ratios counts. Processor seconds are told beside
those of the clock: only they mean something on a busy machine.

    python benchmarks/preparation.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
from scipy import ndimage

from anomri.preprocessing import prepare_scan
from anomri.preprocessing.template.mni152 import load_template
from anomri.recipe import Preparation, Step, Template
from anomri.scan import ScanFiles

SHAPE = (240, 240, 155)
SIDE_MM = 3.0  # of the registration
SHRINK = 4  # of N4
PREPARATION = Preparation(
    spacing_mm=(1.5, 1.5, None),
    intensity=Step(name="percentile"),
    bias_field=Step(name="n4"),
    template=Template(transform="affine"),
)


def phantom(path: Path) -> None:
    """Write the template as a patient of 1 mm who lies askew, under a bias field."""
    values, grid = load_template()
    turn = np.deg2rad(10)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, 3] = np.array([0, -17, 5]) - affine[:3, :3] @ (np.array(SHAPE) - 1) / 2
    matrix = np.linalg.inv(grid.affine) @ affine
    moved = ndimage.affine_transform(values, matrix, output_shape=SHAPE, order=1)
    field = np.exp(np.indices(SHAPE, dtype=np.float32)[0] / SHAPE[0] - 0.5)
    image = nib.Nifti1Image((moved * field).round().astype(np.int16), np.diag([1.0, 1, 1, 1]))
    nib.save(image, path)


def itk(values: np.ndarray, spacing: float = 1.0) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing([spacing] * 3)
    return image


def n4(image: SimpleITK.Image) -> SimpleITK.Image:
    """Correct what `preprocessing.bias_field` corrects, block means of the brain, by bare calls.

    N4 stops when it likes what it sees: subsampling would change how many iterations it takes.
    """
    mask = image > 0
    stats = SimpleITK.LabelShapeStatisticsImageFilter()
    stats.Execute(mask)
    *corner, i, j, k = stats.GetBoundingBox(1)
    part, held = (SimpleITK.RegionOfInterest(item, (i, j, k), corner) for item in (image, mask))
    share = SimpleITK.BinShrink(SimpleITK.Cast(held, SimpleITK.sitkFloat32), [SHRINK] * 3)
    small = SimpleITK.BinShrink(part, [SHRINK] * 3) / SimpleITK.Maximum(share, 1e-6)
    correction = SimpleITK.N4BiasFieldCorrectionImageFilter()
    correction.SetNumberOfThreads(1)
    correction.Execute(small, SimpleITK.Cast(share > 0, SimpleITK.sitkUInt8))
    corrected: SimpleITK.Image = part / SimpleITK.Exp(correction.GetLogBiasFieldAsImage(part))
    return corrected


def resampled(image: SimpleITK.Image, spacing: tuple[float, ...]) -> SimpleITK.Image:
    size = [
        int(n * a / b) for n, a, b in zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)
    ]
    origin, direction = image.GetOrigin(), image.GetDirection()
    identity, linear = SimpleITK.Transform(), SimpleITK.sitkLinear
    return SimpleITK.Resample(image, size, identity, linear, origin, spacing, direction)


def register(fixed: SimpleITK.Image, moving: SimpleITK.Image) -> None:
    """One rigid search, then one affine one, both over the template's brain."""
    versor, affine = SimpleITK.VersorRigid3DTransform(), SimpleITK.AffineTransform(3)
    moments = SimpleITK.CenteredTransformInitializerFilter.MOMENTS
    start = SimpleITK.CenteredTransformInitializer(fixed, moving, versor, moments)
    rigid = SimpleITK.VersorRigid3DTransform(start)
    search(fixed, moving, rigid)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    search(fixed, moving, affine)


def search(fixed: SimpleITK.Image, moving: SimpleITK.Image, transform: SimpleITK.Transform) -> None:
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(SimpleITK.BinaryDilate(fixed > 1, [2, 2, 2]))
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 60, 0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1, 0])
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)


def bare(path: Path, fixed: SimpleITK.Image) -> dict[str, float]:
    """Return the processor seconds of each call."""
    read = timed(lambda: nib.Nifti1Image.from_filename(path).get_fdata(dtype=np.float32))
    image = itk(nib.Nifti1Image.from_filename(path).get_fdata(dtype=np.float32))
    moving = resampled(image, (SIDE_MM,) * 3)
    return {
        "read": read,
        "n4": timed(lambda: n4(image)),
        "register": timed(lambda: register(fixed, moving)),
        "resample": timed(lambda: resampled(image, (1.0, 1.5, 1.5))),
    }


def timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    fixed = resampled(itk(load_template()[0]), (SIDE_MM,) * 3)
    with tempfile.TemporaryDirectory() as root:
        phantom(path := Path(root, "flair.nii.gz"))
        files = ScanFiles(subject="phantom", contrasts={"flair": path}, layout="folder")
        results = []
        for _ in range(options.rounds + 1):  # the first warms up
            parts = bare(path, fixed)
            clock = time.perf_counter()
            whole = timed(lambda: prepare_scan(files, PREPARATION, ["flair"]))
            results.append({**parts, "prepare": whole, "clock": time.perf_counter() - clock})
    report(results[1:])


def report(results: list[dict[str, float]]) -> None:
    parts = ("read", "n4", "register", "resample")
    for name in (*parts, "prepare", "clock"):
        print(f"{name:10s} {statistics.median(result[name] for result in results):7.2f} s")
    ratios = [result["prepare"] / sum(result[part] for part in parts) for result in results]
    print(f"prepare / sum of the calls: {statistics.median(ratios):.2f}", end="")
    print(f"  ({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds)")


if __name__ == "__main__":
    main()
