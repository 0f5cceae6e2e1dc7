"""Data sets and loaders of slices or volumes, which are read from disk batch by batch."""

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
from anomri.training.launching import QuietLoader, initialise_worker
from anomri.training.samples import Split, TrainingImage, unpack

# Images (N, C, *space) and masks, both float32: (N, 1, *space) of the excluded voxels, or
# (N, R, *space) of the regions that a segmenter learns.
Sample = tuple[Tensor, Tensor]


def make_loaders(
    split: Split,
    prepared: PreparedFolder,
    recipe: Recipe,
    *,
    workers: int,
    dataset: type[ImageDataset] | None = None,
) -> list[DataLoader[Sample]]:
    """Return the loaders of training and validation; ``dataset`` is ``ImageDataset`` by default.

    If the recipe trains on crops, those of training are random and those of validation centred.
    """
    options: dict[str, Any] = {
        "batch_size": recipe.training.batch_size,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "collate_fn": _as_read,
        "worker_init_fn": initialise_worker,
    }
    seed = None if recipe.training.crop is None else recipe.training.seed
    train, validation = (
        (dataset or ImageDataset)(
            prepared, images, contrasts=recipe.contrasts, size=recipe.size, seed=crop_seed
        )
        for images, crop_seed in ((split.train, seed), (split.validation, None))
    )
    order = EpochShuffle(len(train), seed=recipe.training.seed)
    # A last batch of a few images would have poor batch statistics.
    drop_last = len(train) > recipe.training.batch_size
    return [
        QuietLoader(train, sampler=order, drop_last=drop_last, **options),
        QuietLoader(validation, **options),
    ]


def _as_read(sample: Sample) -> Sample:
    """Collate nothing, since the data set returns whole batches."""
    return sample


class ImageIndex(NamedTuple):
    """Index of an image, with the epoch, on which its random crop depends.

    Attributes:
        position: index of the image.
        epoch: number of the epoch from 0.
    """

    position: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """Position of a volume's data in its file.

    The file is opened for each access: neither memory nor open files grow with the number of
    scans, and this takes a tenth of the time of opening the image by its header.
    """

    filename: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    order: Literal["C", "F"]

    @classmethod
    def of(cls, volume: NDArray[Any]) -> VolumeFile:
        """Return the position of a memory-mapped volume.

        Raises:
            TypeError: the volume is not memory-mapped.
        """
        if not isinstance(volume, np.memmap):
            raise TypeError(f"expected a memory-mapped volume, got {type(volume).__name__}")
        order: Literal["C", "F"] = "F" if volume.flags.f_contiguous else "C"
        return cls(str(volume.filename), volume.dtype, volume.offset, volume.shape, order)

    def read(self, index: int | None) -> NDArray[Any]:
        """Return the (I, J) pixels of an axial slice, or all (I, J, K) voxels for None."""
        if index is None or self.order == "C":
            volume = np.memmap(self.filename, self.dtype, "r", self.offset, self.shape, self.order)
            return np.array(volume if index is None else volume[:, :, index])
        rows, columns, _ = self.shape  # the slice's pixels follow one another: no need to map
        pixels = rows * columns
        start = self.offset + index * pixels * self.dtype.itemsize
        values = np.fromfile(self.filename, self.dtype, pixels, offset=start)
        return values.reshape(rows, columns, order="F")


class ImageDataset(Dataset[Sample]):
    """Slices or volumes and their excluded voxels, read from disk in batches.

    Args:
        prepared: the prepared scans.
        images: the images of the data set.
        contrasts: channels, in order.
        size: (I, J) or (I, J, K) voxels, to which images are padded with 0 or cropped.
        seed: seed of random crops, together with image and epoch; None for centred ones.
    """

    def __init__(
        self,
        prepared: PreparedFolder,
        images: Sequence[TrainingImage],
        *,
        contrasts: Sequence[str],
        size: tuple[int, ...],
        seed: int | None = None,
    ) -> None:
        self.images = images
        self.size = size
        self.seed = seed
        self.volumes = {
            label: [VolumeFile.of(prepared.volume(label, contrast)) for contrast in contrasts]
            for label in sorted({image.label for image in images})
        }
        self.channels = len(contrasts)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> Sample:
        """Return one image as a batch."""
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int | ImageIndex]) -> Sample:
        """Return a batch; the loader calls this once for all of its positions."""
        indices = [ImageIndex(n) if isinstance(n, int) else n for n in positions]
        batch = np.zeros((len(indices), self.channels, *self.size), np.float32)
        for n, index in enumerate(indices):
            image, start = self.images[index.position], self.crop_start(index)
            for c, volume in enumerate(self.volumes[image.label]):
                copy_crop(volume.read(image.index), batch[n, c], start)
        return torch.from_numpy(batch), torch.from_numpy(self.masks(indices))

    def masks(self, indices: Sequence[ImageIndex]) -> NDArray[np.float32]:
        """Return (N, 1, *space), 1 for excluded voxels."""
        excluded = np.zeros((len(indices), 1, *self.size), np.float32)
        for n, index in enumerate(indices):
            image = self.images[index.position]
            if image.excluded is not None:
                mask = unpack(image.excluded, self.shape(image))
                copy_crop(mask, excluded[n, 0], self.crop_start(index))
        return excluded

    def shape(self, image: TrainingImage) -> tuple[int, ...]:
        """Return the shape of an image on disk."""
        return self.volumes[image.label][0].shape[: len(self.size)]

    def crop_start(self, index: ImageIndex) -> tuple[int, ...]:
        """Return the first voxel of the crop along each axis; negative along padded axes.

        A random crop lies anywhere in the image or, along an axis that is padded, the image
        anywhere in the crop.
        """
        shape = self.shape(self.images[index.position])
        surplus = [n - size for n, size in zip(shape, self.size, strict=True)]
        if self.seed is None:
            return tuple(centred_start(n) for n in surplus)
        rng = np.random.default_rng((self.seed, index.epoch, index.position))
        return tuple(int(rng.integers(min(n, 0), max(n, 0) + 1)) for n in surplus)


class RegionDataset(ImageDataset):
    """Volumes and the masks of their ``REGIONS``.

    Args:
        prepared: the prepared scans; all of ``images`` have a truth.
        images: the volumes of the data set.
        contrasts: channels, in order.
        size: (I, J, K) voxels, to which volumes are padded or cropped.
        seed: as in :class:`ImageDataset`.
    """

    def __init__(
        self,
        prepared: PreparedFolder,
        images: Sequence[TrainingImage],
        *,
        contrasts: Sequence[str],
        size: tuple[int, ...],
        seed: int | None = None,
    ) -> None:
        super().__init__(prepared, images, contrasts=contrasts, size=size, seed=seed)
        truths = {label: prepared.truth(label) for label in self.volumes}
        self.truths = {label: VolumeFile.of(t) for label, t in truths.items() if t is not None}

    def masks(self, indices: Sequence[ImageIndex]) -> NDArray[np.float32]:
        """Return (N, R, *space) masks of the regions."""
        masks = np.zeros((len(indices), len(REGIONS), *self.size), np.float32)
        for n, index in enumerate(indices):
            image = self.images[index.position]
            labels = self.truths[image.label].read(image.index)
            for region, numbers in enumerate(REGIONS.values()):
                copy_crop(np.isin(labels, numbers), masks[n, region], self.crop_start(index))
        return masks


class EpochShuffle(Sampler[ImageIndex]):
    """A random order that depends on seed and epoch alone, so that training can be resumed.

    Each index carries its epoch to the worker process that reads the image. Distributed processes
    each have a share of the order, with the same number of steps.
    """

    def __init__(self, length: int, *, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by the trainer."""
        self.epoch = epoch

    def __len__(self) -> int:
        _, processes = _rank()
        return self.length // processes

    def __iter__(self) -> Iterator[ImageIndex]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        rank, processes = _rank()
        share = order[rank::processes][: len(self)].tolist()
        return iter([ImageIndex(position, self.epoch) for position in share])


def _rank() -> tuple[int, int]:
    """Return the rank of this process and the number of distributed processes."""
    is_distributed = distributed.is_available() and distributed.is_initialized()
    return (distributed.get_rank(), distributed.get_world_size()) if is_distributed else (0, 1)


def centred_start(surplus: int) -> int:
    """Return the start of a centred crop that removes ``surplus`` voxels, or adds -``surplus``.

    An odd voxel is removed or added at the far end.
    """
    return surplus // 2 if surplus > 0 else -(-surplus // 2)


def copy_crop(source: NDArray[Any], target: NDArray[np.float32], start: Sequence[int]) -> None:
    """Copy the part of ``source`` from ``start`` (which may be negative) on into ``target``."""
    overlaps = [
        _overlap(*lengths) for lengths in zip(source.shape, target.shape, start, strict=True)
    ]
    source_box, target_box = zip(*overlaps, strict=True)
    target[target_box] = source[source_box]


def _overlap(source_length: int, target_length: int, start: int) -> tuple[slice, slice]:
    """Return the copied range of the source, and the same range in the target."""
    first, end = max(start, 0), min(start + target_length, source_length)
    return slice(first, end), slice(first - start, end - start)
