"""Weninger et al. 2019, Table 1, layer by layer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anomri.errors import UsageError
from anomri.models import Batch, Reconstructor, build, summary
from anomri.models.autoencoder import Autoencoder
from anomri.models.convolutional import VariationalAutoencoder
from anomri.models.layers import Layer, Plan
from anomri.models.losses import VariationalLoss
from anomri.models.plans import DVAE, VAE
from anomri.recipe import Step

CONVOLUTIONS = ("Conv2d", "ConvTranspose2d")


def family_of(name: str, size: tuple[int, ...] = (128, 128)) -> Reconstructor:
    return build(Step(name=name), channels=1, size=size)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        (
            "vae",
            [
                (16, 64),
                (32, 32),
                (64, 16),
                (64, 8),
                (64, 4),  # mean
                (64, 4),  # deviation
                (64, 8),
                (64, 16),
                (32, 32),
                (16, 64),
                (1, 128),
            ],
        ),
        (
            "dvae",
            [
                (8, 123),
                (16, 58),
                (16, 48),
                (16, 14),
                (16, 12),  # mean
                (16, 12),  # deviation
                (16, 14),
                (16, 48),
                (16, 58),
                (8, 123),
                (1, 128),
            ],
        ),
    ],
)
def test_every_layer_has_the_shape_of_table_1(name: str, shapes: list[tuple[int, int]]) -> None:
    rows = [row for row in summary(family_of(name)) if row.kind in CONVOLUTIONS]
    assert [row.shape for row in rows] == [(width, side, side) for width, side in shapes]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # k*k*in*out of each block, 2 per norm channel; biases only where there is no norm.
        (
            "vae",
            (16 * 1 + 16 * 16 * 2 + 32 * 16 * 4 + 64 * 64) * 16 * 2
            + (3 * 9 * 64 * 64)
            + 2 * 64
            + 1
            + 2 * (16 + 32 + 64 + 64) * 2,
        ),
        (
            "dvae",
            (36 * 8 + 25 * 8 * 16 + 36 * 16 * 16 + 25 * 16 * 16) * 2
            + (3 * 9 * 16 * 16)
            + 2 * 16
            + 1
            + 2 * (8 + 16 + 16 + 16) * 2,
        ),
    ],
)
def test_parameters_are_those_of_table_1(name: str, parameters: int) -> None:
    assert sum(row.parameters for row in summary(family_of(name))) == parameters


@pytest.mark.parametrize("name", ["vae", "dvae"])
def test_latent_and_last_layers_are_bare(name: str) -> None:
    kinds = [row.kind for row in summary(family_of(name))]
    assert kinds[-2:] == ["LeakyReLU", "ConvTranspose2d"]
    latent = [row for row in summary(family_of(name)) if row.name in ("mean", "deviation")]
    assert [row.kind for row in latent] == ["Conv2d", "Conv2d"]
    assert kinds.count("BatchNorm2d") == kinds.count("LeakyReLU") == 8


def test_the_plan_of_a_volume_builds_a_network_of_volumes() -> None:
    family = VariationalAutoencoder(channels=1, size=(32, 32, 32), loss=VariationalLoss(), plan=VAE)
    volume = torch.randn(1, 1, 32, 32, 32)
    assert family.eval().reconstruct(volume).shape == volume.shape


def test_the_code_is_drawn_in_training_but_not_in_reconstruction() -> None:
    family = family_of("vae").eval()
    batch = Batch.of(torch.randn(1, 1, 128, 128))
    with torch.inference_mode():
        assert family.losses(batch)["loss"] != family.losses(batch)["loss"]
        assert torch.equal(family.reconstruct(batch.image), family.reconstruct(batch.image))


@pytest.mark.parametrize(
    ("name", "size", "padded"),
    [
        ("vae", (128, 127), (128, 127)),  # odd lengths need an output padding only
        ("dvae", (130, 5), (134, 62)),
        ("vae1px", (128, 100), (128, 128)),
        ("ae", (33, 17), (48, 32)),
        ("vae1", (196, 196), (208, 208)),
        ("vae2", (196, 196), (200, 200)),
        ("vqvae", (196, 196), (200, 200)),
    ],
)
def test_a_size_that_does_not_fit_is_padded_and_cropped_back(
    name: str, size: tuple[int, ...], padded: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        family = family_of(name, size).eval()
        images = torch.zeros(1, 1, *size)
        assert isinstance(family, Autoencoder)
        assert family.padded == padded
        assert family.reconstruct(images).shape == images.shape


@pytest.mark.parametrize("size", [(), (128,), (8, 8, 8, 8)])
def test_a_size_without_two_or_three_axes_names_the_recipe_key(size: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"preparation\.shape"):
        family_of("vae", size)


@given(
    length=st.integers(1, 60),
    layers=st.lists(
        st.builds(
            Layer,
            kernel=st.integers(1, 6),
            stride=st.integers(1, 3),
            dilation=st.integers(1, 2),
            channels=st.just(1),
            padding=st.integers(0, 2),
        ),
        min_size=2,
        max_size=3,
    ),
)
@settings(max_examples=60, deadline=None)
def test_whatever_fits_comes_back_whole(length: int, layers: list[Layer]) -> None:
    plan = Plan(encoder=tuple(layers[:-1]), latent=layers[-1])
    if not plan.fits(length):
        return
    size = (length, length)
    family = VariationalAutoencoder(channels=1, size=size, loss=VariationalLoss(), plan=plan).eval()
    images = torch.randn(1, 1, *size)
    assert family.encode(images).mean.shape[2:] == (plan.lengths(length)[-1],) * 2
    assert family.reconstruct(images).shape == images.shape


@given(st.integers(1, 400))
def test_the_length_chosen_is_the_next_that_fits(length: int) -> None:
    fitting = [n for n in range(1, 500) if DVAE.fits(n)]
    assert DVAE.at_least(length) == min(n for n in fitting if n >= length)
