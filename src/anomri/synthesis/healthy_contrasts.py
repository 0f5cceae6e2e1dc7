"""FLAIR, T1 and T2 of healthy brains, with random but realistic intensities.

Intensities are relative to white matter, which is 1. Bright rims, choroid plexus, vessels and
flowing fluid are painted too, so that a network cannot learn to take them for lesions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomri.synthesis.random_fields import blur, smooth_noise
from anomri.synthesis.random_streams import RandomStreams
from anomri.synthesis.tissue import Tissue

SEQUENCES = ("flair", "t1ce", "t1", "t2")

# Lowest and highest intensity of grey matter and fluid
LEVELS: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "flair": ((0.9, 1.4), (0.0, 0.5)),
    "t1": ((0.55, 0.9), (0.1, 0.5)),
    "t2": ((1.05, 1.6), (1.5, 3.0)),
}
RESIDUE: Mapping[str, tuple[float, float]] = {
    "flair": (0.8, 3.0),
    "t1ce": (0.5, 2.5),
    "t1": (0.4, 1.5),
    "t2": (0.8, 2.5),
}
LABELS = 256

Values = dict[str, Tensor]
Level = tuple[Tensor, Tensor]  # grey matter and fluid, (N, 1, 1, 1)


@dataclass(slots=True)
class Images:
    """Contrasts of a batch of heads.

    Attributes:
        values: (N, I, J, K) by contrast, white matter near 1.
        grey: (N, 1, 1, 1) intensity of grey matter by contrast.
    """

    values: Values
    grey: Values

    def of(self, chosen: list[int]) -> Images:
        """Return the images of some heads: copies, or these themselves if all are chosen."""
        if self._are_all(chosen):
            return self
        return Images(
            {name: volume[chosen] for name, volume in self.values.items()},
            {name: level[chosen] for name, level in self.grey.items()},
        )

    def replace(self, chosen: list[int], images: Images) -> None:
        """Replace the images of some heads, as changed from those of :meth:`of`."""
        if images is self:
            return
        for name, volume in images.values.items():
            self.values[name][chosen] = volume

    def _are_all(self, chosen: list[int]) -> bool:
        return chosen == list(range(len(self.grey["flair"])))


def draw_healthy(tissue: Tissue, random: RandomStreams) -> Images:
    """Return FLAIR, contrast-enhanced T1, T1 and T2 of healthy brains."""
    levels: dict[str, Level] = {
        name: (random.uniform(*g), random.uniform(*f)) for name, (g, f) in LEVELS.items()
    }
    grey, fluid = levels["t1"]
    levels["t1ce"] = (
        (grey + random.uniform(-0.06, 0.1)).clamp(0.5, 0.98),
        (fluid + random.uniform(-0.06, 0.1)).clamp(0.05, 0.6),
    )
    common = random.normal(LABELS)
    values = {name: _paint(tissue, levels[name], common, random) for name in SEQUENCES}
    images = Images(values, {name: levels[name][0] for name in SEQUENCES})
    for probability, change in (
        (0.5, _let_fluid_flow),
        (0.45, _brighten_surface),
        (0.5, _brighten_ventricle_walls),
        (0.7, _enhance_plexus),
        (1.0, _enhance_vessels),
        (0.6, _enhance_dura),
        (0.5, _let_fluid_flow_at_the_base),
        (0.6, _add_residue),
    ):
        _change_some(images, tissue, random, probability, change)
    return images


Change = Callable[[Values, Tissue, RandomStreams], None]


def _change_some(
    images: Images, tissue: Tissue, random: RandomStreams, probability: float, change: Change
) -> None:
    """Apply a change, which alters the volumes in place, to some of the heads."""
    chosen = random.chosen(probability)
    if chosen:
        part = images.of(chosen)
        change(part.values, tissue.of(chosen), random.of(chosen))
        images.replace(chosen, part)


def _paint(tissue: Tissue, levels: Level, common: Tensor, random: RandomStreams) -> Tensor:
    """Mix the tissues; each label deviates by up to 22 %, partly alike in all contrasts."""
    deviation = 0.5 * common + 0.8 * random.normal(LABELS)
    gain = 1 + (random.uniforms(0.02, 0.1, 1) * deviation).clamp(-0.22, 0.22)
    grey, fluid = levels
    by_label = gain.gather(1, tissue.labels.flatten(1).long()).reshape(tissue.labels.shape)
    tissues = tissue.white + tissue.grey * grey
    return tissues * blur(by_label, 0.9) + tissue.fluid * fluid


def _noise(tissue: Tissue, random: RandomStreams, low_mm: float, high_mm: float) -> Tensor:
    """Return smooth noise with nodes at a random distance between the limits."""
    widths = [width / tissue.spacing for width in random.numbers(low_mm, high_mm)]
    return smooth_noise(tissue.shape, widths, random)


def _let_fluid_flow(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    flow = _noise(tissue, random, 12, 30) - random.uniform(0.6, 1.6)
    values["flair"] += tissue.fluid * flow.clamp(0, 2) * random.uniform(0.1, 0.6)


def _brighten_surface(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    rim = torch.exp(-tissue.edge_mm / random.uniform(1.5, 5))
    patches = (_noise(tissue, random, 20, 50) + random.uniform(-1, 0.5)).clamp(0, 1.5)
    values["flair"] *= 1 + random.uniform(0.05, 0.5) * rim * patches


def _brighten_ventricle_walls(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    near = torch.exp(-(tissue.ventricle_mm - 1).clamp(min=0) / random.uniform(0.8, 2.2))
    values["flair"] *= 1 + random.uniform(0.03, 0.3) * near * ~tissue.lateral


def _enhance_plexus(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    where = tissue.lateral & (_noise(tissue, random, 6, 6) > random.uniform(0.6, 1.6))
    plexus = blur(where, 0.5)
    values["t1ce"] += plexus * random.uniform(0.3, 1.6)
    values["flair"] += plexus * random.uniform(0, 0.6)


def _enhance_vessels(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    """Paint vessels where two noise fields are near 0, outside white matter."""
    crossing = _noise(tissue, random, 8, 16).abs() + _noise(tissue, random, 8, 16).abs()
    vessels = (crossing < random.uniform(0.05, 0.16)) & (tissue.white < 0.55) & tissue.brain
    values["t1ce"] += blur(vessels, 0.45) * random.uniform(0.2, 1.6)


def _enhance_dura(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    patches = (_noise(tissue, random, 20, 60) + random.uniform(-1, 0.4)).clamp(0, 1)
    shell = tissue.edge_mm < random.uniform(2, 4.5)
    values["t1ce"] *= 1 + random.uniform(0.2, 1.2) * shell * patches


def _let_fluid_flow_at_the_base(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    flow = (_noise(tissue, random, 8, 24) + random.uniform(-0.8, 0.8)).clamp(0, 1.5)
    values["flair"] += _base(tissue, random) * tissue.fluid * flow * random.uniform(0.4, 2)


def _add_residue(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    """Paint very bright skull-stripping residue, mostly at the skull base."""
    low = _base(tissue, random).repeat(1, *tissue.shape[:2], 1)
    low[random.chosen(0.3)] = True
    patches = _noise(tissue, random, 6, 24) > random.uniform(0.2, 1.4)
    fraction = blur((tissue.edge_mm < random.uniform(2, 7)) & low & patches, 0.5)
    for name, limits in RESIDUE.items():
        values[name] += fraction * (random.uniform(*limits) - values[name])


def _base(tissue: Tissue, random: RandomStreams) -> Tensor:
    """Return (N, 1, 1, K), the lower part of the image, up to a random height."""
    height = torch.arange(tissue.shape[2], device=random.device) / tissue.shape[2]
    return height < random.uniform(0.3, 0.6)
