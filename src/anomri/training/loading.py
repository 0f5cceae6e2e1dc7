"""Reading slices or volumes from prepared scans, a batch at a time; the rest stays on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from anomri.family import REGIONS
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.training.parts import Part, Split, unpack

# Images (N, C, *space) and marks, both float32: (N, 1, *space), where nothing may be learnt; or
# the (N, R, *space) masks of the regions that a segmenter learns.
Sample = tuple[Tensor, Tensor]


def make_loaders(
    split: Split,
    prepared: PreparedFolder,
    recipe: Recipe,
    *,
    workers: int,
    reader: type[PartReader] | None = None,
) -> list[DataLoader[Sample]]:
    """Return a loader to train and one to validate; ``reader`` is ``PartReader`` where None."""
    options: dict[str, Any] = {
        "batch_size": recipe.training.batch_size,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "collate_fn": _as_read,
    }
    train, validation = (
        (reader or PartReader)(prepared, parts, contrasts=recipe.contrasts, size=recipe.size)
        for parts in (split.train, split.validation)
    )
    order = EpochShuffle(len(train), seed=recipe.training.seed)
    # A last batch of a few images would have poor batch statistics.
    whole = len(train) > recipe.training.batch_size
    return [
        DataLoader(train, sampler=order, drop_last=whole, **options),
        DataLoader(validation, **options),
    ]


def _as_read(sample: Sample) -> Sample:
    """Collate nothing: the reader gives out whole batches."""
    return sample


@dataclass(frozen=True, slots=True)
class Place:
    """Where a volume lies in its file.

    It is mapped anew for each part and let go at once: neither memory nor open files grow with
    the number of scans, and it costs a tenth of opening the image by its header.
    """

    filename: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    order: Literal["C", "F"]

    @classmethod
    def of(cls, volume: NDArray[Any]) -> Place:
        """Remember where a mapped volume lies.

        Raises:
            TypeError: it is not mapped.
        """
        if not isinstance(volume, np.memmap):
            raise TypeError(f"expected a memory-mapped volume, got {type(volume).__name__}")
        order: Literal["C", "F"] = "F" if volume.flags.f_contiguous else "C"
        return cls(str(volume.filename), volume.dtype, volume.offset, volume.shape, order)

    def part(self, index: int | None) -> NDArray[Any]:
        """Return the (I, J) pixels of one axial slice, or all (I, J, K) voxels for None."""
        volume = np.memmap(self.filename, self.dtype, "r", self.offset, self.shape, self.order)
        return np.array(volume if index is None else volume[:, :, index])


class PartReader(Dataset[Sample]):
    """Reads slices or volumes, a batch at a time, each straight from its place on disk.

    Args:
        prepared: where the scans are.
        parts: what to read.
        contrasts: channels, in order.
        size: (I, J) or (I, J, K) of what is given out; parts are padded with 0 or cropped around
            the centre.
    """

    def __init__(
        self,
        prepared: PreparedFolder,
        parts: Sequence[Part],
        *,
        contrasts: Sequence[str],
        size: tuple[int, ...],
    ) -> None:
        self.parts = parts
        self.size = size
        self.places = {
            label: [Place.of(prepared.volume(label, contrast)) for contrast in contrasts]
            for label in sorted({one.label for one in parts})
        }
        self.channels = len(contrasts)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, position: int) -> Sample:
        """Return one part as a batch of one."""
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int]) -> Sample:
        """Return a batch; the loader calls this once for all of its positions."""
        images = np.zeros((len(positions), self.channels, *self.size), np.float32)
        excluded = np.zeros((len(positions), 1, *self.size), np.float32)
        for n, position in enumerate(positions):
            one = self.parts[position]
            places = self.places[one.label]
            for c, volume in enumerate(places):
                place(volume.part(one.index), images[n, c])
            if one.excluded is not None:
                shape = places[0].shape[: len(self.size)]
                place(unpack(one.excluded, shape), excluded[n, 0])
        return torch.from_numpy(images), torch.from_numpy(excluded)


class RegionReader(PartReader):
    """Reads volumes with the masks of their ``REGIONS``.

    Args:
        prepared: where the scans are; all of ``parts`` have a truth.
        parts: what to read.
        contrasts: channels, in order.
        size: (I, J, K) of what is given out.
    """

    def __init__(
        self,
        prepared: PreparedFolder,
        parts: Sequence[Part],
        *,
        contrasts: Sequence[str],
        size: tuple[int, ...],
    ) -> None:
        super().__init__(prepared, parts, contrasts=contrasts, size=size)
        truths = {label: prepared.truth(label) for label in self.places}
        self.truths = {label: Place.of(t) for label, t in truths.items() if t is not None}

    def __getitems__(self, positions: Sequence[int]) -> Sample:
        """Return a batch; the loader calls this once for all of its positions."""
        images, _ = super().__getitems__(positions)
        masks = np.zeros((len(positions), len(REGIONS), *self.size), np.float32)
        for n, position in enumerate(positions):
            part = self.parts[position]
            labels = self.truths[part.label].part(part.index)
            for region, numbers in enumerate(REGIONS.values()):
                place(np.isin(labels, numbers), masks[n, region])
        return images, torch.from_numpy(masks)


class EpochShuffle(Sampler[int]):
    """A new order each epoch that depends on seed and epoch alone, so that it can be resumed.

    Processes that train together each take their share of it; all have the same number of steps.
    """

    def __init__(self, length: int, *, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        _, processes = _rank()
        return self.length // processes

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        first, step = _rank()
        return iter(order[first::step][: len(self)].tolist())


def _rank() -> tuple[int, int]:
    """Return the number of this process and how many train together."""
    together = distributed.is_available() and distributed.is_initialized()
    return (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)


def place(source: NDArray[Any], target: NDArray[np.float32]) -> None:
    """Copy ``source`` into ``target``, centre on centre, as far as both reach."""
    pairs = [_overlap(n, m) for n, m in zip(source.shape, target.shape, strict=True)]
    target[tuple(there for _, there in pairs)] = source[tuple(here for here, _ in pairs)]


def _overlap(length: int, wanted: int) -> tuple[slice, slice]:
    both, crop, pad = (
        min(length, wanted),
        max(length - wanted, 0) // 2,
        max(wanted - length, 0) // 2,
    )
    return slice(crop, crop + both), slice(pad, pad + both)
