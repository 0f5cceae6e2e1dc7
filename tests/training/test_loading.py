"""What the network is given is what lies on disk."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.training.loading import (
    EpochShuffle,
    ImageDataset,
    ImageIndex,
    VolumeFile,
    centred_start,
    copy_crop,
    make_loaders,
)
from anomri.training.samples import TrainingImage, pack, split_images

MakeRecipe = Callable[..., Recipe]


def reader_of(prepared: PreparedFolder, *slices: TrainingImage, side: int = 32) -> ImageDataset:
    return ImageDataset(prepared, slices, contrasts=["flair"], size=(side, side))


def test_a_batch_holds_the_slices_asked_for(prepared: PreparedFolder) -> None:
    reader = reader_of(prepared, TrainingImage("sub-s0", 9), TrainingImage("sub-s1", 12))
    images, excluded = reader.__getitems__([1, 0, 1])
    for n, (label, index) in enumerate([("sub-s1", 12), ("sub-s0", 9), ("sub-s1", 12)]):
        expected = prepared.volume(label, "flair")[:, :, index]
        np.testing.assert_array_equal(images[n, 0], expected)
    assert images.dtype == excluded.dtype == torch.float32
    assert excluded.shape == (3, 1, 32, 32)
    assert not excluded.any()


def test_a_volume_is_read_whole_and_cropped_around_its_centre(prepared: PreparedFolder) -> None:
    volume = prepared.volume("sub-s0", "flair")
    marks = np.zeros(volume.shape, bool)
    marks[16, 16, 1:5] = True
    part, depth = TrainingImage("sub-s0", None, pack(marks)), volume.shape[2]
    reader = ImageDataset(prepared, [part], contrasts=["flair"], size=(32, 32, depth - 4))
    image, excluded = reader[0]
    np.testing.assert_array_equal(image[0, 0], volume[:, :, 2:-2])
    np.testing.assert_array_equal(excluded[0, 0], marks[:, :, 2:-2])


def test_excluded_pixels_come_along(prepared: PreparedFolder) -> None:
    marks = np.zeros((32, 32), bool)
    marks[3:7, 10:12] = True
    reader = reader_of(prepared, TrainingImage("sub-s0", 9, pack(marks)))
    np.testing.assert_array_equal(reader[0][1][0, 0], marks)


def test_the_reader_leaves_the_volumes_on_disk(prepared: PreparedFolder) -> None:
    reader = reader_of(prepared, TrainingImage("sub-s0", 9))
    assert len(pickle.dumps(reader)) < 2000  # no voxel travels to a worker


def test_either_voxel_order_is_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("orders")
    values = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    for order in ("C", "F"):
        path = folder / order
        path.write_bytes(b"header" + values.tobytes(order=order))
        volume = np.memmap(path, np.float32, "r", 6, values.shape, order)
        np.testing.assert_array_equal(VolumeFile.of(volume).read(4), values[:, :, 4])
        np.testing.assert_array_equal(VolumeFile.of(volume).read(None), values)
    with pytest.raises(TypeError, match="memory-mapped"):
        VolumeFile.of(values)


@given(st.integers(1, 9), st.integers(1, 9))
def test_placing_keeps_the_centre(length: int, wanted: int) -> None:
    source = np.arange(1, length + 1, dtype=np.float32)[:, None]
    target = np.zeros((wanted, 1), np.float32)
    copy_crop(source, target, (centred_start(length - wanted), 0))
    kept = target[target > 0]
    assert len(kept) == min(length, wanted)
    assert (np.diff(kept) == 1).all()
    lost, empty = length - len(kept), wanted - len(kept)
    assert kept[0] - 1 == lost // 2
    assert int(np.argmax(target[:, 0] > 0)) == empty // 2


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[ImageIndex]:
        sampler = EpochShuffle(50, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 3) == order(0, 3)
    assert sorted(order(0, 3)) == [ImageIndex(position, 3) for position in range(50)]
    numbers = [[visit.position for visit in order(*of)] for of in [(0, 3), (0, 4), (1, 4)]]
    assert numbers[0] != numbers[1] != numbers[2]


def test_loaders_give_whole_batches(prepared: PreparedFolder, recipe: MakeRecipe) -> None:
    chosen = recipe(batch_size=8)
    split = split_images(prepared, chosen.training)
    train, validation = make_loaders(split, prepared, chosen, workers=0)
    assert [len(images) for images, _ in train] == [8] * (len(split.train) // 8)
    assert sum(len(images) for images, _ in validation) == len(split.validation)


def test_a_random_crop_is_a_piece_of_the_volume_and_follows_from_seed_and_epoch(
    prepared: PreparedFolder,
) -> None:
    volume = prepared.volume("sub-s0", "flair")
    marks = np.asarray(volume) > 5  # what the crop must move together with the image
    parts, depth = [TrainingImage("sub-s0", None, pack(marks))], volume.shape[2]
    size = (20, 32, depth + 16)

    def reader(seed: int) -> ImageDataset:
        return ImageDataset(prepared, parts, contrasts=["flair"], size=size, seed=seed)

    seen = set()
    for epoch in range(20):
        visit = ImageIndex(0, epoch)
        i, j, k = reader(0).crop_start(visit)
        seen.add(i)
        assert j == 0
        assert -16 <= k <= 0 <= i <= 12
        image, excluded = reader(0).__getitems__([visit])
        np.testing.assert_array_equal(image[0, 0, :, :, -k : depth - k], volume[i : i + 20])
        np.testing.assert_array_equal(excluded[0, 0, :, :, -k : depth - k], marks[i : i + 20])
        assert int(image.count_nonzero()) == np.count_nonzero(volume[i : i + 20])
        assert torch.equal(image, reader(0).__getitems__([visit])[0])
    assert len(seen) > 5
    places = [[reader(seed).crop_start(ImageIndex(0, e)) for e in range(5)] for seed in (0, 1)]
    assert places[0] != places[1]


def test_crops_are_random_in_training_and_centred_in_validation(
    prepared: PreparedFolder, recipe: MakeRecipe
) -> None:
    whole, cropped = recipe(batch_size=2), recipe(batch_size=2, crop=(16, 64))
    assert cropped.size == (16, 32)  # an axis that is shorter than the crop is taken whole
    split = split_images(prepared, cropped.training)
    seeds = [
        [vars(loader.dataset)["seed"] for loader in make_loaders(split, prepared, one, workers=0)]
        for one in (whole, cropped)
    ]
    assert seeds == [[None, None], [cropped.training.seed, None]]
    images, _ = next(iter(make_loaders(split, prepared, cropped, workers=0)[1]))
    first = split.validation[0]
    expected = prepared.volume(first.label, "flair")[8:24, :, first.index]
    np.testing.assert_array_equal(images[0, 0], expected)


def test_workers_crop_where_this_process_would(
    prepared: PreparedFolder, recipe: MakeRecipe
) -> None:
    chosen = recipe(batch_size=8, crop=(16, 16))
    split = split_images(prepared, chosen.training)
    given = []
    for workers in (0, 1):
        train, _ = make_loaders(split, prepared, chosen, workers=workers)
        epochs = []
        for epoch in range(2):
            train.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            epochs.append(torch.cat([images for images, _ in train]))
        given.append(epochs)
    assert torch.equal(given[0][1], given[1][1])
    assert not torch.equal(given[0][0], given[0][1])
