"""How a scan of any size meets a network of a fixed one, and finds back to its own grid.

A family of slices sees the scan as a stack of axial slices, a family of volumes as a stack of
one. Scan and network share their centre; what the network has beyond the scan is padded with 0,
the value outside the brain, and what the scan has beyond the network is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", bound=np.generic)
Floats = NDArray[np.float32]
Part = tuple[slice, ...]


def as_stack(volume: NDArray[Kind], axes: int) -> NDArray[Kind]:
    """View (..., I, J, K) as (K, ..., I, J) for two axes, as (1, ..., I, J, K) for three."""
    return np.moveaxis(volume, -1, 0) if axes == 2 else volume[None]


@dataclass(frozen=True, slots=True)
class Window:
    """Where a network's input lies on a scan's grid, along the network's own axes.

    Attributes:
        size: spatial shape of the network's input.
        of_scan: the part of the scan that the network sees.
        of_input: where that part lies in the input; the rest of the input is padding.
    """

    size: tuple[int, ...]
    of_scan: Part
    of_input: Part

    @classmethod
    def centred(cls, shape: Sequence[int], size: tuple[int, ...]) -> Window:
        """Share the centre; an odd voxel too many or too few is at the far end.

        Args:
            shape: voxels of the scan along each of the network's axes.
            size: voxels of the network's input along the same axes.
        """
        overlaps = [_overlap(*lengths) for lengths in zip(shape, size, strict=True)]
        of_scan, of_input = zip(*overlaps, strict=True)
        return cls(size, of_scan, of_input)

    def take(self, stack: Floats, chosen: NDArray[np.intp]) -> Floats:
        """Copy the ``chosen`` items of a (N, C, *space) stack into (n, C, *size) inputs."""
        inputs = np.zeros((chosen.size, stack.shape[1], *self.size), dtype=np.float32)
        inputs[self._padded()] = stack[self._at(chosen)]
        return inputs

    def put(self, stack: Floats, chosen: NDArray[np.intp], outputs: Floats) -> None:
        """Write (n, C, *size) outputs back to where :meth:`take` took their inputs from."""
        stack[self._at(chosen)] = outputs[self._padded()]

    def loses(self, stack: NDArray[np.bool_]) -> bool:
        """Tell whether something in a (N, *space) stack lies where the network does not look."""
        whole: Part = (slice(None), *self.of_scan)
        seen = stack[whole]
        return int(np.count_nonzero(stack)) > int(np.count_nonzero(seen))

    def _padded(self) -> Part:
        return (slice(None), slice(None), *self.of_input)

    def _at(self, chosen: NDArray[np.intp]) -> Any:
        return (_as_slice(chosen), slice(None), *self.of_scan)


def _overlap(of_scan: int, of_input: int) -> tuple[slice, slice]:
    shared = min(of_scan, of_input)
    return _middle(of_scan, shared), _middle(of_input, shared)


def _middle(length: int, part: int) -> slice:
    start = (length - part) // 2
    return slice(start, start + part)


def _as_slice(chosen: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Turn neighbouring indices into a slice: NumPy copies it many times faster."""
    first, last = int(chosen[0]), int(chosen[-1])
    return slice(first, last + 1) if last - first + 1 == chosen.size else chosen
