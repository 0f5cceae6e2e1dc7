"""Layers of the papers' networks, one plan per column of a table."""

from __future__ import annotations

from anomri.models.layers import Layer, Plan


def _halving(*channels: int) -> tuple[Layer, ...]:
    """Return layers that halve exactly: kernel 4, stride 2, padding 1."""
    return tuple(Layer(4, 2, 1, width, padding=1) for width in channels)


# Weninger et al. 2019, Table 1, which does not give the padding.
# 128, 64, 32, 16, 8, 4; the latent layer, 8 to 4, needs one voxel of output padding in the decoder.
VAE = Plan(encoder=_halving(16, 32, 64, 64), latent=Layer(3, 2, 1, 64, padding=1))
# No padding: 128, 123, 58, 48, 14, 12. Every division is exact.
DVAE = Plan(
    encoder=(Layer(6, 1, 1, 8), Layer(5, 2, 2, 16), Layer(6, 1, 2, 16), Layer(5, 3, 2, 16)),
    latent=Layer(3, 1, 1, 16),
)
# 128, 64, 32, 16, 8, 1.
VAE1PX = Plan(encoder=_halving(16, 32, 64, 64), latent=Layer(8, 1, 1, 64))

# Paolini et al., section "Network architectures": no norm, coordinates at every convolution. The
# last of the five layers has the kernel that leaves one voxel. All halvings must be exact.
# 208 (196 padded), 104, 52, 26, 13, 1: the AE and the VAE1.
LARGE = Plan(
    encoder=_halving(16, 64, 256, 512),
    latent=Layer(None, 1, 1, 512),
    norm=False,
    coordinates=True,
    multiple=16,
)
# 200 (196 padded), 100, 50, 25, 1: the VAE2.
SMALL = Plan(
    encoder=_halving(64, 128, 256),
    latent=Layer(None, 1, 1, 256),
    norm=False,
    coordinates=True,
    multiple=8,
)
# 200 (196 padded), 100, 50, 25, 25: the VQ-VAE, whose latents are an image of vectors.
VECTORS = Plan(
    encoder=_halving(128, 256, 256),
    latent=Layer(1, 1, 1, 256),
    norm=False,
    coordinates=True,
    multiple=8,
)

# Lambert et al. 2021, section 2.3: four strided convolutions and two heads, five layers in the
# decoder, in two or three dimensions. The paper does not give kernels, channels and latent size.
# 160 x 192 x 75 becomes 10 x 12 x 4; a head that leaves one voxel is a fully connected layer.
SPATIAL = Plan(encoder=_halving(16, 32, 64, 128), latent=Layer(1, 1, 1, 16))
DENSE = Plan(encoder=_halving(16, 32, 64, 128), latent=Layer(None, 1, 1, 128))
