"""Reading slices or volumes from prepared scans, a batch at a time; the rest stays on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.scan import REGIONS
from anomri.training.launching import QuietLoader, begin_reader
from anomri.training.samples import Part, Split, unpack

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
    """Return a loader to train and one to validate; ``reader`` is ``PartReader`` where None.

    Where the recipe asks for crops, those of training lie at random, those of validation in the
    middle.
    """
    options: dict[str, Any] = {
        "batch_size": recipe.training.batch_size,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "collate_fn": _as_read,
        "worker_init_fn": begin_reader,
    }
    seed = None if recipe.training.crop is None else recipe.training.seed
    train, validation = (
        (reader or PartReader)(
            prepared, parts, contrasts=recipe.contrasts, size=recipe.size, seed=seed_of_side
        )
        for parts, seed_of_side in ((split.train, seed), (split.validation, None))
    )
    order = EpochShuffle(len(train), seed=recipe.training.seed)
    # A last batch of a few images would have poor batch statistics.
    whole = len(train) > recipe.training.batch_size
    return [
        QuietLoader(train, sampler=order, drop_last=whole, **options),
        QuietLoader(validation, **options),
    ]


def _as_read(sample: Sample) -> Sample:
    """Collate nothing: the reader gives out whole batches."""
    return sample


class Visit(NamedTuple):
    """One look at one part: a crop at random is another one in each epoch.

    Attributes:
        position: of the part.
        epoch: counted from 0.
    """

    position: int
    epoch: int = 0


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
        size: (I, J) or (I, J, K) of what is given out; parts are padded with 0 or cropped.
        seed: of where that happens, together with part and epoch; around the centre where None.
    """

    def __init__(
        self,
        prepared: PreparedFolder,
        parts: Sequence[Part],
        *,
        contrasts: Sequence[str],
        size: tuple[int, ...],
        seed: int | None = None,
    ) -> None:
        self.parts = parts
        self.size = size
        self.seed = seed
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

    def __getitems__(self, positions: Sequence[int | Visit]) -> Sample:
        """Return a batch; the loader calls this once for all of its positions."""
        visits = [Visit(one) if isinstance(one, int) else one for one in positions]
        images = np.zeros((len(visits), self.channels, *self.size), np.float32)
        for n, visit in enumerate(visits):
            first = self.first(visit)
            for c, volume in enumerate(self.places[self.parts[visit.position].label]):
                place(volume.part(self.parts[visit.position].index), images[n, c], first)
        return torch.from_numpy(images), torch.from_numpy(self.marks(visits))

    def marks(self, visits: Sequence[Visit]) -> NDArray[np.float32]:
        """Return (N, 1, *space), 1 where nothing may be learnt."""
        excluded = np.zeros((len(visits), 1, *self.size), np.float32)
        for n, visit in enumerate(visits):
            one = self.parts[visit.position]
            if one.excluded is not None:
                marked = unpack(one.excluded, self.shape(one))
                place(marked, excluded[n, 0], self.first(visit))
        return excluded

    def shape(self, part: Part) -> tuple[int, ...]:
        """Return the voxels of a part as it lies on disk."""
        return self.places[part.label][0].shape[: len(self.size)]

    def first(self, visit: Visit) -> tuple[int, ...]:
        """Return the voxel of the part that comes first in what is given out, for each axis.

        A crop lies anywhere inside the part. Along an axis that is too short for it, the part lies
        anywhere inside the crop, and the number is negative.
        """
        spare = [
            n - wanted
            for n, wanted in zip(self.shape(self.parts[visit.position]), self.size, strict=True)
        ]
        if self.seed is None:
            return tuple(middle(length) for length in spare)
        draw = np.random.default_rng((self.seed, visit.epoch, visit.position))
        return tuple(int(draw.integers(min(n, 0), max(n, 0) + 1)) for n in spare)


class RegionReader(PartReader):
    """Reads volumes with the masks of their ``REGIONS``.

    Args:
        prepared: where the scans are; all of ``parts`` have a truth.
        parts: what to read.
        contrasts: channels, in order.
        size: (I, J, K) of what is given out.
        seed: as in :class:`PartReader`.
    """

    def __init__(
        self,
        prepared: PreparedFolder,
        parts: Sequence[Part],
        *,
        contrasts: Sequence[str],
        size: tuple[int, ...],
        seed: int | None = None,
    ) -> None:
        super().__init__(prepared, parts, contrasts=contrasts, size=size, seed=seed)
        truths = {label: prepared.truth(label) for label in self.places}
        self.truths = {label: Place.of(t) for label, t in truths.items() if t is not None}

    def marks(self, visits: Sequence[Visit]) -> NDArray[np.float32]:
        """Return (N, R, *space), the masks of the regions."""
        masks = np.zeros((len(visits), len(REGIONS), *self.size), np.float32)
        for n, visit in enumerate(visits):
            part = self.parts[visit.position]
            labels = self.truths[part.label].part(part.index)
            for region, numbers in enumerate(REGIONS.values()):
                place(np.isin(labels, numbers), masks[n, region], self.first(visit))
        return masks


class EpochShuffle(Sampler[Visit]):
    """A new order each epoch that depends on seed and epoch alone, so that it can be resumed.

    The epoch goes along with each position, into whichever process reads it.

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

    def __iter__(self) -> Iterator[Visit]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        first, step = _rank()
        mine = order[first::step][: len(self)].tolist()
        return iter([Visit(position, self.epoch) for position in mine])


def _rank() -> tuple[int, int]:
    """Return the number of this process and how many train together."""
    together = distributed.is_available() and distributed.is_initialized()
    return (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)


def middle(spare: int) -> int:
    """Return where a crop begins that leaves ``spare`` voxels; negative where they are missing.

    An odd one is at the far end.
    """
    return spare // 2 if spare > 0 else -(-spare // 2)


def place(source: NDArray[Any], target: NDArray[np.float32], first: Sequence[int]) -> None:
    """Copy ``source`` into ``target``, whose first voxel is ``source``'s ``first``, may be < 0."""
    pairs = [_overlap(*of) for of in zip(source.shape, target.shape, first, strict=True)]
    target[tuple(there for _, there in pairs)] = source[tuple(here for here, _ in pairs)]


def _overlap(length: int, wanted: int, first: int) -> tuple[slice, slice]:
    """Return which voxels of the source are copied, and which of the target they become."""
    start, stop = max(first, 0), min(first + wanted, length)
    return slice(start, stop), slice(start - first, stop - first)
