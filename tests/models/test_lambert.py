"""Section 2.3 of Lambert et al. 2021: four layers and two heads, five layers back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anomri.models import Batch, Reconstructor, build
from anomri.recipe import Step

GRID = (160, 192, 75)
HALVED = [(80, 96, 37), (40, 48, 18), (20, 24, 9), (10, 12, 4)]
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def family_of(name: str, size: tuple[int, ...], **options: str) -> Reconstructor:
    return build(Step(name=name, options=dict(options)), channels=1, size=size)


def shapes(family: Reconstructor) -> list[tuple[int, ...]]:
    """Channels and space after each convolution, in the order of a forward pass."""
    found: list[tuple[int, ...]] = []
    for layer in family.modules():
        if isinstance(layer, CONVOLUTIONS):
            layer.register_forward_hook(lambda _, __, out: found.append(tuple(out.shape[1:])))
    family.eval().losses(Batch.of(torch.zeros(1, 1, *family.size, device="meta")))
    return found


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(("name", "code"), [("spatial_vae", 16), ("dense_vae", 128)])
def test_the_layers_are_those_of_the_paper(name: str, code: int, axes: int) -> None:
    with torch.device("meta"):
        family = family_of(name, GRID[:axes], reconstruction="l1")
    space = [length[:axes] for length in HALVED]
    bottleneck = (code, *((1,) * axes if name == "dense_vae" else space[-1]))
    down = [(width, *s) for width, s in zip((16, 32, 64, 128), space, strict=True)]
    up = [*reversed(down), (1, *GRID[:axes])]
    assert shapes(family) == [*down, bottleneck, bottleneck, *up]


def test_a_head_that_leaves_one_voxel_is_a_fully_connected_layer() -> None:
    torch.manual_seed(0)
    head = family_of("dense_vae", (32, 32, 16)).get_submodule("mean")
    assert isinstance(head, nn.Conv3d)
    features = torch.randn(3, 128, 2, 2, 1)
    flat = nn.functional.linear(features.flatten(1), head.weight.flatten(1), head.bias)
    torch.testing.assert_close(head(features).flatten(1), flat, atol=1e-5, rtol=1e-5)


def test_only_the_dense_code_forgets_where_things_were() -> None:
    """What happens in one corner reaches the opposite one through a dense code alone."""
    torch.manual_seed(0)
    image = torch.randn(1, 1, 128, 128)
    other = image.clone()
    other[..., :8, :8] += 5
    far = {}
    for name in ("spatial_vae", "dense_vae"):
        family = family_of(name, (128, 128)).eval()
        with torch.inference_mode():
            changed = family.reconstruct(other) - family.reconstruct(image)
        far[name] = float(changed[..., -16:, -16:].abs().max())
    assert far["spatial_vae"] == 0
    assert far["dense_vae"] > 1e-6


@pytest.mark.parametrize("name", ["spatial_vae", "dense_vae"])
@pytest.mark.parametrize("loss", ["plain", "collapse_robust"])
def test_volumes_of_odd_size_are_learnt_and_given_back(name: str, loss: str) -> None:
    family = family_of(name, (33, 38, 19), loss=loss, reconstruction="l1")
    batch = Batch.of(torch.randn(2, 1, 33, 38, 19))
    losses = family.losses(batch)
    torch.autograd.backward(losses["loss"])
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in family.parameters())
    assert family.reconstruct(batch.image).shape == batch.image.shape
