"""Padding and cropping between scans of any size and networks of a fixed input size.

A network of slices processes a scan as a stack of axial slices, a network of volumes as a stack of
one. Scan and input share their centre: the input is padded with 0, the value outside the brain, and
voxels of the scan beyond the input are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", bound=np.generic)
Floats = NDArray[np.float32]
Box = tuple[slice, ...]


def as_stack(volume: NDArray[Kind], axes: int) -> NDArray[Kind]:
    """View (..., I, J, K) as (K, ..., I, J) for two axes, and as (1, ..., I, J, K) for three."""
    return np.moveaxis(volume, -1, 0) if axes == 2 else volume[None]


@dataclass(frozen=True, slots=True)
class Window:
    """Position of a network's input on a scan's grid, along the network's axes.

    Attributes:
        size: spatial shape of the network's input.
        of_scan: box of the scan that the input covers.
        of_input: the same box in the input; the rest of the input is padding.
    """

    size: tuple[int, ...]
    of_scan: Box
    of_input: Box

    @classmethod
    def centred(cls, shape: Sequence[int], size: tuple[int, ...]) -> Window:
        """Align the centres of scan and input; an odd voxel is at the far end.

        Args:
            shape: voxels of the scan along each of the network's axes.
            size: voxels of the network's input along the same axes.
        """
        overlaps = [_overlap(*lengths) for lengths in zip(shape, size, strict=True)]
        of_scan, of_input = zip(*overlaps, strict=True)
        return cls(size, of_scan, of_input)

    def take(self, stack: Floats, indices: NDArray[np.intp]) -> Floats:
        """Copy items of a (N, C, *space) stack into (n, C, *size) inputs."""
        inputs = np.zeros((indices.size, stack.shape[1], *self.size), dtype=np.float32)
        inputs[self._input_box()] = stack[self._scan_box(indices)]
        return inputs

    def put(self, stack: Floats, indices: NDArray[np.intp], outputs: Floats) -> None:
        """Copy (n, C, *size) outputs into the items of a stack, the inverse of :meth:`take`."""
        stack[self._scan_box(indices)] = outputs[self._input_box()]

    def crops(self, mask: NDArray[np.bool_]) -> bool:
        """Tell whether a part of a (N, *space) mask lies outside the window."""
        box: Box = (slice(None), *self.of_scan)
        return int(np.count_nonzero(mask)) > int(np.count_nonzero(mask[box]))

    def _input_box(self) -> Box:
        return (slice(None), slice(None), *self.of_input)

    def _scan_box(self, indices: NDArray[np.intp]) -> Any:
        return (as_slice(indices), slice(None), *self.of_scan)


def _overlap(scan_length: int, input_length: int) -> tuple[slice, slice]:
    shared = min(scan_length, input_length)
    return _centred(scan_length, shared), _centred(input_length, shared)


def _centred(length: int, part: int) -> slice:
    start = (length - part) // 2
    return slice(start, start + part)


def as_slice(indices: NDArray[np.intp]) -> Any:
    """Convert consecutive indices to a slice, which NumPy copies many times faster."""
    first, last = int(indices[0]), int(indices[-1])
    return slice(first, last + 1) if last - first + 1 == indices.size else indices
