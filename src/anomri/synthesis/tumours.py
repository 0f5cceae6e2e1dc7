"""Random gliomas and metastases: core, enhancing part and edema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from anomri.synthesis.healthy_contrasts import Images
from anomri.synthesis.morphology import depth_mm, distance_mm, largest
from anomri.synthesis.random_fields import blur, smooth_noise
from anomri.synthesis.random_streams import RandomStreams
from anomri.synthesis.tissue import Tissue, indices

MIN_CORE_VOXELS = 6
BORDER_BLUR = 0.55  # voxels
TEXTURE_BLUR = 2.0  # voxels; finer texture of healthy tissue shows through half of the edemas
REACH_MM = 34.0  # of edema
WIDEST_SPREAD = 1.9  # edema reaches so many times as far where white matter conducts best
THICKEST_RIM_MM = 30.0


class TumourSeed(NamedTuple):
    """Position and size of one tumour in each of N heads.

    Attributes:
        centres: (N, 3) voxel indices.
        radii: (N, 1, 1, 1) of the cores, in voxels.
    """

    centres: Tensor
    radii: Tensor

    def of(self, chosen: Sequence[int]) -> TumourSeed:
        """Return the seeds of some heads."""
        return TumourSeed(self.centres[list(chosen)], self.radii[list(chosen)])

    def distance(self, shape: Sequence[int], random: RandomStreams) -> Tensor:
        """Return (N, I, J, K), the distance to the centre in radii of a random ellipsoid."""
        stretch = random.uniforms(-0.3, 0.3, 3)
        stretch = (stretch - stretch.mean(1, keepdim=True)).exp()
        rotation = torch.linalg.qr(random.normal(9).reshape(-1, 3, 3))[0]
        offset = indices(shape, random.device) - self.centres[:, None, None, None]
        scaled = offset.flatten(1, 3) @ (rotation / stretch[:, None, :])
        distance: Tensor = torch.linalg.vector_norm(scaled, dim=-1)
        return distance.reshape(-1, *shape) / self.radii


@dataclass(frozen=True, slots=True, kw_only=True)
class Tumour:
    """Parts of one tumour in each of N heads; empty where hardly any of it lies in the brain.

    Attributes:
        core: (N, I, J, K) bool.
        enhancing: (N, I, J, K) bool, inside the core.
        edema: (N, I, J, K) bool, outside the core.
        depth_mm: (N, I, J, K) distance to the core, 0 inside.
        reach_mm: (N, 1, 1, 1) distance that edema spreads through white matter.
        diffuse: (N, 1, 1, 1) whether the core resembles the edema, as in lower grades.
    """

    core: Tensor
    enhancing: Tensor
    edema: Tensor
    depth_mm: Tensor
    reach_mm: Tensor
    diffuse: Tensor

    @property
    def regions(self) -> Tensor:
        """(N, 3, I, J, K) bool: lesion, tumour core and enhancing tumour, nested."""
        return torch.stack([self.core | self.edema, self.core, self.enhancing], dim=1)


def draw_tumour(tissue: Tissue, seed: TumourSeed, random: RandomStreams) -> Tumour:
    """Return the parts of a tumour in each head.

    The core is an ellipsoid with an irregular border. Edema follows white matter. About half of the
    enhancing cores have a rim, the others enhance throughout or in patches; a third are diffuse.
    """
    mm = tissue.spacing
    wide, fine = _noise(tissue, random, 8, 20), _noise(tissue, random, 6, 14)
    border = seed.distance(tissue.shape, random) + random.uniform(0.05, 0.35) * wide
    inside = tissue.brain & (tissue.fluid < random.uniform(0.6, 0.95))
    core = largest((border < 1) & inside)
    core &= (core.flatten(1).sum(1) >= MIN_CORE_VOXELS)[:, None, None, None]
    diffuse, reach = _some(random, 0.35), random.uniform(4, REACH_MM)
    short = random.chosen(0.3)
    reach[short] = random.uniform(0, 8)[short]
    depth = distance_mm(core, mm, float(reach.max()) * WIDEST_SPREAD + mm)
    spread = 0.2 + 0.95 * blur(tissue.white, 1.0) + random.uniform(0.1, 0.5) * fine
    near = depth < reach * spread.clamp(max=WIDEST_SPREAD)
    edema = near & tissue.brain & (tissue.fluid < random.uniform(0.5, 0.8))
    enhances = ~diffuse | _some(random, 0.2)
    any_core = core.flatten(1).any(1)[:, None, None, None]
    return Tumour(
        core=core,
        enhancing=_enhancing(core, mm, wide, fine, random) & enhances,
        edema=largest((edema | core) & any_core) & ~core,
        depth_mm=depth,
        reach_mm=reach,
        diffuse=diffuse,
    )


def _enhancing(
    core: Tensor, mm: float, wide: Tensor, fine: Tensor, random: RandomStreams
) -> Tensor:
    """Return the enhancing voxels: a rim, most of the core, patches, or none."""
    kinds = torch.tensor(random.numbers(), device=core.device)[:, None, None, None]
    inside = depth_mm(core, mm, THICKEST_RIM_MM)
    rim = inside < random.uniform(2.5, 9) * (1 + 0.6 * fine)
    rim &= wide * random.uniform(0, 0.8) > -random.uniform(0.3, 1.5)
    most = fine > random.uniform(-2, 0.3)
    widths = [width / mm for width in random.numbers(5, 12)]
    patches = smooth_noise(core.shape[1:], widths, random) > random.uniform(0, 1.2)
    kind = (rim & (kinds < 0.55)) | (most & (kinds >= 0.55) & (kinds < 0.75))
    return core & (kind | (patches & (kinds >= 0.75) & (kinds < 0.9)))


def paint_tumour(images: Images, tissue: Tissue, tumour: Tumour, random: RandomStreams) -> None:
    """Paint a tumour into all contrasts, in place; edema fades with distance from the core."""
    parts = (tumour.edema, tumour.enhancing, tumour.core & ~tumour.enhancing)
    fractions = [blur(part, BORDER_BLUR) for part in parts]
    total = torch.stack(fractions).sum(0).clamp(min=1)
    edema, enhancing, rest = (fraction / total for fraction in fractions)
    fade = torch.exp(-tumour.depth_mm / tumour.reach_mm.clamp(min=1) * random.uniform(0, 0.6))
    healthy, shading = 1 - edema - enhancing - rest, edema * (1 - 0.35 * tissue.fluid)
    kept = 0.8 * _some(random, 0.5) * edema * (1 - tissue.fluid)
    for name, levels in _draw_intensities(images, tumour, fade, random).items():
        edema_level, enhancing_level, rest_level = levels
        first, second = (
            1 + random.uniform(0, most) * _noise(tissue, random, 5, 20) for most in (0.14, 0.25)
        )
        value = images.values[name]
        texture = kept * (value - blur(value, TEXTURE_BLUR))
        value *= healthy
        value += texture
        value += (shading * edema_level + enhancing * enhancing_level) * first
        value += rest * rest_level * second


Intensities = tuple[Tensor, Tensor, Tensor]  # edema, enhancing tumour, the rest of the core


def _draw_intensities(
    images: Images, tumour: Tumour, fade: Tensor, random: RandomStreams
) -> dict[str, Intensities]:
    """Draw the intensities of edema, enhancing tumour and the rest of the core per contrast."""
    top = random.uniform(0.05, 0.75).exp() * images.grey["flair"].clamp(min=1)
    necrotic = _some(random, 0.33) & ~tumour.diffuse
    dark = random.uniform(0.1, 0.45) * fade
    solid, fluid = top * random.uniform(0.75, 1.15), random.uniform(0.2, 1.0)
    return {
        "flair": (
            1 + (top - 1) * fade,
            top * random.uniform(0.55, 1.2),
            torch.where(necrotic, fluid, solid),
        ),
        "t1ce": (
            1 - dark + random.uniform(-0.05, 0.05),
            random.uniform(1.1, 2.4),
            random.uniform(0.25, 0.85) + random.uniform(-0.05, 0.15),
        ),
    }


def _noise(tissue: Tissue, random: RandomStreams, low_mm: float, high_mm: float) -> Tensor:
    widths = [width / tissue.spacing for width in random.numbers(low_mm, high_mm)]
    return smooth_noise(tissue.shape, widths, random)


def _some(random: RandomStreams, probability: float) -> Tensor:
    """Return (N, 1, 1, 1), True with a probability."""
    return random.uniform(0, 1) < probability
