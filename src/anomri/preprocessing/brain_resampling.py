"""Resampling of scans and masks between RAS+ grids, restricted to the brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from anomri.preprocessing.grids import brain_box, working_grid
from anomri.preprocessing.resampling import index_map, masked_samples, sample, sample_mask
from anomri.recipe import Preparation
from anomri.scan import Affine, Grid, Image, Labels, Mask, Scan, Volume

BOX_MARGIN = 6  # voxels around the brain that smoothing and interpolation may read


@dataclass(frozen=True, slots=True)
class BrainResampler:
    """Resampling from one RAS+ grid to another, reading only the voxels around the brain.

    Attributes:
        box: part of the source volume that is read.
        matrix: (4, 4) target index to index within the box.
        shape: shape of the target grid.
    """

    box: tuple[slice, slice, slice]
    matrix: Affine
    shape: tuple[int, int, int]

    @classmethod
    def between(cls, source: Grid, target: Grid, brain: Mask) -> BrainResampler:
        """Create a resampler.

        Args:
            source: grid of the brain and of the volumes to resample.
            target: grid of the results.
            brain: (I, J, K) bool on the source grid.
        """
        box = brain_box(brain, BOX_MARGIN)
        matrix = index_map(source, target)
        matrix[:3, 3] -= [part.start for part in box]
        return cls(box, matrix, target.shape)

    def images(self, volumes: Sequence[Volume] | Image, brain: Mask) -> Image:
        """Return (C, I, J, K) brain voxels on the target grid, 0 outside the brain."""
        parts = [volume[self.box] for volume in volumes]
        return masked_samples(parts, brain[self.box], self.matrix, self.shape)

    def mask(self, mask: Mask) -> Mask:
        """Return a mask on the target grid: linear interpolation, thresholded at 0.5."""
        return sample_mask(mask[self.box], self.matrix, self.shape)

    def labels(self, labels: Labels) -> Labels:
        """Return label numbers on the target grid by nearest-neighbour interpolation."""
        nearest: Labels = sample(labels[self.box], self.matrix, self.shape, linear=False)
        return nearest


def resample_to_isotropic(scan: Scan, spacing_mm: float) -> Scan:
    """Return a scan with isotropic voxels, cropped to its brain and without expert labels.

    Thick slices are interpolated. :func:`~anomri.preprocessing.resampling.resample_to_grid` brings
    values back to the scan's own grid.
    """
    isotropic = Preparation(spacing_mm=(spacing_mm,) * 3, thick_slices="resample")
    grid = working_grid(scan.grid, brain_box(scan.brain), isotropic)
    resampler = BrainResampler.between(scan.grid, grid, scan.brain)
    brain = resampler.mask(scan.brain)
    image = resampler.images(scan.image, scan.brain)
    return replace(scan, image=image * brain, brain=brain, grid=grid, truth=None)
