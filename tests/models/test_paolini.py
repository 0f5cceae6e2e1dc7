"""Paolini et al., section "Network architectures", layer by layer on tensors without data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from anomri.models import Batch, build, summary
from anomri.models.autoencoder import Autoencoder
from anomri.models.convolutional import QuantisedAutoencoder
from anomri.models.latents import Quantised
from anomri.models.layers import Coordinates
from anomri.recipe import Step

LAYERS = ("Conv2d", "ConvTranspose2d")


def family_of(name: str, size: tuple[int, int] = (196, 196)) -> Autoencoder:
    family = build(Step(name=name), channels=1, size=size)
    assert isinstance(family, Autoencoder)
    return family


def shapes_of(name: str) -> list[tuple[int, int]]:
    """Channels and side that each layer gives out."""
    with torch.device("meta"):
        rows = [row for row in summary(family_of(name)) if row.kind in LAYERS]
    assert all(row.shape[1] == row.shape[2] for row in rows)
    return [(row.shape[0], row.shape[1]) for row in rows]


ENCODER = [(16, 104), (64, 52), (256, 26), (512, 13)]
DECODER = [(512, 13), (256, 26), (64, 52), (16, 104), (1, 208)]


def test_the_autoencoder_has_maps_of_16_64_256_512() -> None:
    assert shapes_of("ae") == [*ENCODER, (512, 1), *DECODER]


def test_the_first_vae_adds_a_deviation() -> None:
    assert shapes_of("vae1") == [*ENCODER, (512, 1), (512, 1), *DECODER]


def test_the_second_vae_has_maps_of_64_128_256() -> None:
    latent = [(256, 1)] * 2
    encoder, decoder = [(64, 100), (128, 50), (256, 25)], [(256, 25), (128, 50), (64, 100)]
    assert shapes_of("vae2") == [*encoder, *latent, *decoder, (1, 200)]


def test_the_vqvae_keeps_an_image_of_vectors() -> None:
    encoder, decoder = [(128, 100), (256, 50), (256, 25)], [(256, 25), (256, 50), (128, 100)]
    assert shapes_of("vqvae") == [*encoder, (256, 25), *decoder, (1, 200)]


@pytest.mark.parametrize("name", ["ae", "vae1", "vae2", "vqvae"])
def test_every_convolution_sees_where_it_is(name: str) -> None:
    """Two channels more than the layer before gives; but a single voxel is nowhere else."""
    family = family_of(name, (32, 32))
    reads = [m for m in family.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    placed = sum(isinstance(m, Coordinates) for m in family.modules())
    assert placed == len(reads) - (name != "vqvae")
    assert reads[0].in_channels == 1 + 2
    kinds = [row.kind for row in summary(family) if row.kind not in (*LAYERS, "Coordinates")]
    assert set(kinds) <= {"LeakyReLU", "Embedding"}


def test_coordinates_run_from_edge_to_edge() -> None:
    placed = Coordinates()(torch.zeros(2, 1, 3, 5))
    assert placed.shape == (2, 3, 3, 5)
    assert placed[1, 1, :, 0].tolist() == [-1, 0, 1]
    assert placed[1, 2, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert Coordinates()(torch.zeros(2, 4, 1, 1)).shape == (2, 4, 1, 1)


def test_the_same_texture_elsewhere_has_another_code() -> None:
    torch.manual_seed(0)
    family, image = family_of("ae", (32, 32)).eval(), torch.zeros(1, 1, 32, 32)
    moved = image.clone()
    image[..., 4:8, 4:8], moved[..., 20:24, 20:24] = 1, 1
    assert not torch.allclose(family.encoder(image).sum(), family.encoder(moved).sum())


def latent_of(family: Autoencoder, images: Tensor) -> Quantised:
    latent = family.encode(images)
    assert isinstance(latent, Quantised)
    return latent


def test_each_vector_becomes_the_nearest_of_the_codebook() -> None:
    torch.manual_seed(0)
    family = family_of("vqvae", (32, 32)).eval()
    assert isinstance(family, QuantisedAutoencoder)
    assert family.codebook.weight.shape == (512, 256)
    with torch.inference_mode():
        latent = latent_of(family, torch.randn(2, 1, 32, 32))
    book = family.codebook.weight.detach()
    for image, i, j in [(0, 0, 0), (1, 3, 2), (1, 0, 3)]:
        vector = latent.encoded[image, :, i, j]
        distances = (book - vector).square().sum(1)
        number = int(latent.indices[image, i, j])
        assert distances[number] <= distances.min() * (1 + 1e-5)
        assert torch.equal(latent.quantised[image, :, i, j], book[number])


def test_the_number_of_codes_is_an_option() -> None:
    step = Step(name="vqvae", options={"codes": 8})
    family = build(step, channels=1, size=(32, 32))
    assert isinstance(family, QuantisedAutoencoder)
    numbers = latent_of(family, torch.randn(3, 1, 32, 32)).indices
    assert numbers.shape == (3, 4, 4)
    assert int(numbers.max()) < 8


def test_a_codebook_learns() -> None:
    """A code that is in use moves towards what it stands for."""
    torch.manual_seed(0)
    family, images = family_of("vqvae", (32, 32)), torch.randn(4, 1, 32, 32)
    assert isinstance(family, QuantisedAutoencoder)
    optimizer = torch.optim.Adam(family.codebook.parameters(), lr=1e-2)

    errors = []
    for _ in range(5):
        optimizer.zero_grad()
        losses = family.losses(Batch.of(images))
        torch.autograd.backward(losses["loss"])
        optimizer.step()
        errors.append(float(losses["codebook"].detach()))
    assert errors[-1] < 0.9 * errors[0]
