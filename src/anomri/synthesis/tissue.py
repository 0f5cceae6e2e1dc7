"""Healthy brains on the grid of the images: anatomies, deformed and resampled in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from anomri.synthesis.anatomy import LATERAL, LOBAR_WHITE, Anatomy
from anomri.synthesis.morphology import depth_mm
from anomri.synthesis.random_affine import RandomAffine
from anomri.synthesis.random_fields import smooth_noise
from anomri.synthesis.random_streams import RandomStreams

POSITION = RandomAffine(rotation_deg=15, scale=0.07, shear=0.05)
MAX_DISPLACEMENT_MM = 3.6  # standard deviation of the elastic displacement
DEEP_MM = 30.0  # depths below the surface are not told apart beyond


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomies:
    """Anatomies of one shape, as tensors on the device that draws.

    Attributes:
        volumes: (N, 4, I, J, K) brain, fluid, white matter and mm to the ventricles.
        labels: (N, I, J, K) MUSE label numbers, uint8.
        spacing: voxel size in mm.
        flair: (N, I, J, K) measured FLAIR images, 0 throughout where an anatomy has none.
    """

    volumes: Tensor
    labels: Tensor
    spacing: float
    flair: Tensor

    @classmethod
    def of(cls, anatomies: Sequence[Anatomy], device: torch.device) -> Anatomies:
        """Stack anatomies on a device."""
        volumes = [
            torch.stack([torch.from_numpy(v) for v in (a.brain, a.fluid, a.white, a.ventricle_mm)])
            for a in anatomies
        ]
        labels = [torch.from_numpy(a.labels.astype("uint8")) for a in anatomies]
        flair = [
            torch.from_numpy(np.zeros_like(a.brain) if a.flair is None else a.flair)
            for a in anatomies
        ]
        return cls(
            volumes=torch.stack(volumes).to(device),
            labels=torch.stack(labels).to(device),
            spacing=anatomies[0].spacing,
            flair=torch.stack(flair).to(device),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(I, J, K)."""
        i, j, k = self.labels.shape[1:]
        return i, j, k

    def of_patients(self, heads: Sequence[int]) -> Anatomies:
        """Return an anatomy per patient."""
        chosen = list(heads)
        return replace(
            self,
            volumes=self.volumes[chosen],
            labels=self.labels[chosen],
            flair=self.flair[chosen],
        )

    @property
    def measured(self) -> list[int]:
        """Numbers of the anatomies with a measured FLAIR."""
        return [n for n, volume in enumerate(self.flair) if volume.any()]

    def labels_at(self, positions: Tensor) -> Tensor:
        """Return the label numbers at (N, ..., 3) positions relative to the centre, 0 outside."""
        ends = torch.tensor(self.shape, device=positions.device) - 1
        index = (positions + ends / 2).round().long()
        inside = ((index >= 0) & (index <= ends)).all(-1)
        i, j, k = index.clamp(min=0).minimum(ends).unbind(-1)
        patient = torch.arange(len(i), device=i.device).reshape(-1, *[1] * (i.ndim - 1))
        return self.labels[patient, i, j, k] * inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """Healthy brains on the image grid.

    Attributes:
        brain: (N, I, J, K) bool.
        fluid: (N, I, J, K) fraction of fluid.
        white: (N, I, J, K) fraction of white matter.
        ventricle_mm: (N, I, J, K) distance to the lateral ventricles.
        edge_mm: (N, I, J, K) depth below the brain's surface, at most 30.
        lateral: (N, I, J, K) lateral ventricles, bool.
        lobar: (N, I, J, K) lobar white matter, bool.
        labels: (N, I, J, K) MUSE label numbers, uint8.
        spacing: voxel size in mm.
    """

    brain: Tensor
    fluid: Tensor
    white: Tensor
    ventricle_mm: Tensor
    edge_mm: Tensor
    lateral: Tensor
    lobar: Tensor
    labels: Tensor
    spacing: float

    @property
    def grey(self) -> Tensor:
        """Fraction of grey matter."""
        return (1 - self.fluid - self.white).clamp(0, 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(I, J, K)."""
        i, j, k = self.brain.shape[1:]
        return i, j, k

    def of(self, chosen: Sequence[int]) -> Tissue:
        """Return the tissue of some patients."""
        if list(chosen) == list(range(len(self.brain))):
            return self
        volumes = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "spacing"}
        return replace(self, **{name: volume[list(chosen)] for name, volume in volumes.items()})


def draw_positions(anatomies: Anatomies, random: RandomStreams) -> Tensor:
    """Return (N, I, J, K, 3), the position of each voxel in the anatomy, about its centre."""
    shape, device = anatomies.shape, random.device
    middle = (torch.tensor(shape, device=device) - 1) / 2
    matrices = POSITION.draw(random)
    voxels = (indices(shape, device) - middle).reshape(-1, 3)
    positions = (voxels @ matrices.transpose(1, 2)).reshape(-1, *shape, 3)
    amplitude = random.uniform(0, MAX_DISPLACEMENT_MM / anatomies.spacing)
    for axis in range(3):
        widths = [width / anatomies.spacing for width in random.numbers(50, 90)]
        positions[..., axis] += amplitude * smooth_noise(shape, widths, random)
    return positions


def tissue_at(anatomies: Anatomies, positions: Tensor, random: RandomStreams) -> Tissue:
    """Resample the healthy brains into the images, and vary their amount of fluid."""
    sampled = _sampled(anatomies.volumes, positions)
    volume, fluid, white, ventricle_mm = sampled.unbind(1)
    labels, inside = anatomies.labels_at(positions), volume > 0.5
    varied = fluid.clamp(0, 1) ** random.uniform(-0.4, 0.4).exp()
    return Tissue(
        brain=inside,
        fluid=varied,
        white=torch.minimum(white.clamp(0, 1), 1 - varied),
        ventricle_mm=ventricle_mm,
        edge_mm=depth_mm(inside, anatomies.spacing, DEEP_MM),
        lateral=is_one_of(labels, LATERAL),
        lobar=is_one_of(labels, LOBAR_WHITE),
        labels=labels,
        spacing=anatomies.spacing,
    )


def flair_at(anatomies: Anatomies, positions: Tensor) -> Tensor:
    """Resample the measured FLAIR images into the images, (N, I, J, K)."""
    return _sampled(anatomies.flair[:, None], positions)[:, 0]


def _sampled(volumes: Tensor, positions: Tensor) -> Tensor:
    ends = (torch.tensor(volumes.shape[2:], device=positions.device) - 1) / 2
    grid = (positions / ends).flip(-1)
    return grid_sample(volumes, grid, mode="bilinear", align_corners=True)


def is_one_of(labels: Tensor, numbers: Sequence[int]) -> Tensor:
    """Return where label numbers are among those given."""
    table = torch.zeros(256, dtype=torch.bool, device=labels.device)
    table[list(numbers)] = True
    return table[labels.long()]


def indices(shape: Sequence[int], device: torch.device) -> Tensor:
    """Return (I, J, K, 3), the index of each voxel."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
