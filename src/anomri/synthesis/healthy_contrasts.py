"""FLAIR and contrast-enhanced T1 of healthy brains, with random but realistic intensities.

Intensities are relative to white matter, which is 1. Bright rims, choroid plexus, vessels and
flowing fluid are painted too, so that a network cannot learn to take them for lesions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from anomri.synthesis.anatomy import HINDBRAIN
from anomri.synthesis.random_fields import blur, smooth_noise
from anomri.synthesis.random_streams import RandomStreams
from anomri.synthesis.tissue import Tissue, is_one_of

SEQUENCES = ("flair", "t1ce")

# Lowest and highest intensity of grey matter and fluid
LEVELS: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "flair": ((0.9, 1.4), (0.0, 0.5)),
    "t1ce": ((0.52, 0.95), (0.07, 0.55)),
}
RESIDUE: Mapping[str, tuple[float, float]] = {
    "flair": (0.8, 3.0),
    "t1ce": (0.5, 2.5),
}
LABELS = 256
# Accumbens, amygdala, hippocampus, thalamus, ventral diencephalon and basal forebrain; insula,
# cingulate, entorhinal and parahippocampal cortex
LIMBIC = (
    *(23, 30, 31, 32, 47, 48, 59, 60, 61, 62, 75, 76),
    *(100, 101, 102, 103, 116, 117, 138, 139, 166, 167, 170, 171, 172, 173),
)

NARROW_VENTRICLES = (4, 11, 49, 50)  # third, fourth, temporal horns

NOTHING_MEASURED: Mapping[int, Tensor] = MappingProxyType({})

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


def draw_healthy(
    tissue: Tissue, random: RandomStreams, measured_flair: Mapping[int, Tensor] = NOTHING_MEASURED
) -> Images:
    """Return FLAIR and contrast-enhanced T1 of healthy brains.

    Args:
        tissue: the brains.
        random: streams of random numbers, one per patient.
        measured_flair: (I, J, K) by the number of the patient, in place of a drawn FLAIR.
    """
    levels: dict[str, Level] = {
        name: (random.uniform(*g), random.uniform(*f)) for name, (g, f) in LEVELS.items()
    }
    values = {name: _paint(tissue, levels[name], random) for name in SEQUENCES}
    images = Images(values, {name: levels[name][0] for name in SEQUENCES})
    _use_measured_flair(images, tissue, measured_flair, random)
    for probability, change in (
        (0.75, _brighten_hindbrain),
        (0.7, _brighten_limbic_tissue),
        (0.5, _brighten_cortex),
        (0.7, _brighten_deep_midline),
        (0.5, _let_fluid_flow),
        (0.45, _brighten_surface),
        (0.5, _brighten_ventricle_walls),
        (0.7, _enhance_plexus),
        (1.0, _enhance_vessels),
        (0.6, _enhance_dura),
        (0.75, _let_fluid_flow_at_the_base),
        (0.7, _add_residue),
    ):
        _change_some(images, tissue, random, probability, change)
    return images


def _use_measured_flair(
    images: Images, tissue: Tissue, measured: Mapping[int, Tensor], random: RandomStreams
) -> None:
    """Replace drawn by measured intensities of random gamma, in place."""
    gamma = random.uniform(-0.25, 0.25).exp()
    for n, flair in measured.items():
        values = flair.clamp(min=0) ** gamma[n]
        cortex = (tissue.grey[n] > 0.7) & tissue.brain[n]
        images.values["flair"][n] = values
        images.grey["flair"][n] = values[cortex].median() if cortex.any() else 1.0


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


def _paint(tissue: Tissue, levels: Level, random: RandomStreams) -> Tensor:
    """Mix the tissues; each label deviates by up to 30 %."""
    gain = 1 + (random.uniforms(0.02, 0.13, 1) * random.normal(LABELS)).clamp(-0.3, 0.3)
    grey, fluid = levels
    by_label = gain.gather(1, tissue.labels.flatten(1).long()).reshape(tissue.labels.shape)
    tissues = tissue.white + tissue.grey * grey
    return tissues * blur(by_label, 0.9) + tissue.fluid * fluid


def _noise(tissue: Tissue, random: RandomStreams, low_mm: float, high_mm: float) -> Tensor:
    """Return smooth noise with nodes at a random distance between the limits."""
    widths = [width / tissue.spacing for width in random.numbers(low_mm, high_mm)]
    return smooth_noise(tissue.shape, widths, random)


def _brighten_hindbrain(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    """Change brain stem and cerebellum as a whole.

    Many scans show them brighter in FLAIR and darker in T1CE than white matter elsewhere, as edema.
    """
    hindbrain = blur(is_one_of(tissue.labels, HINDBRAIN), 1.5)
    field = 1 + 0.4 * _noise(tissue, random, 12, 50)
    values["flair"] *= 1 + random.uniform(-0.1, 0.5) * hindbrain * field
    values["t1ce"] *= 1 - random.uniform(-0.1, 0.35) * hindbrain * field


def _brighten_limbic_tissue(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    limbic = blur(is_one_of(tissue.labels, LIMBIC), 0.7)
    patches = (0.6 + 0.5 * _noise(tissue, random, 15, 40)).clamp(0, 1.5)
    values["flair"] *= 1 + random.uniform(0, 0.4) * limbic * patches
    values["t1ce"] *= 1 - random.uniform(-0.05, 0.25) * limbic * patches


def _brighten_cortex(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    """Brighten patches of grey matter in FLAIR and darken them in T1CE, anywhere in the brain."""
    patches = (_noise(tissue, random, 12, 40) + random.uniform(-1, 0.5)).clamp(0, 1.5)
    values["flair"] *= 1 + random.uniform(0.05, 0.4) * tissue.grey * patches
    values["t1ce"] *= 1 - random.uniform(-0.05, 0.2) * tissue.grey * patches


def _brighten_deep_midline(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    """Brighten midbrain, hypothalamus and the fluid that flows through the narrow ventricles."""
    ventricles = is_one_of(tissue.labels, NARROW_VENTRICLES)
    near = (6 * blur(ventricles, 2.0)).clamp(max=1)
    patches = (0.5 + 0.6 * _noise(tissue, random, 8, 30)).clamp(0, 1.5) * near
    values["flair"] += patches * random.uniform(0.05, 0.8)
    values["t1ce"] *= 1 - random.uniform(-0.05, 0.25) * patches


def _let_fluid_flow(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    flow = _noise(tissue, random, 12, 30) - random.uniform(0.6, 1.6)
    values["flair"] += tissue.fluid * flow.clamp(0, 2) * random.uniform(0.1, 0.6)


def _brighten_surface(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    rim = torch.exp(-tissue.edge_mm / random.uniform(1.5, 5))
    patches = (_noise(tissue, random, 20, 50) + random.uniform(-1, 0.5)).clamp(0, 1.5)
    values["flair"] *= 1 + random.uniform(0.05, 0.5) * rim * patches


def _brighten_ventricle_walls(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    near = torch.exp(-(tissue.ventricle_mm - 1).clamp(min=0) / random.uniform(0.8, 2.2))
    values["flair"] *= 1 + random.uniform(0.03, 0.45) * near * ~tissue.lateral


def _enhance_plexus(values: Values, tissue: Tissue, random: RandomStreams) -> None:
    where = tissue.lateral & (_noise(tissue, random, 6, 6) > random.uniform(0.6, 1.6))
    plexus = blur(where, 0.5)
    values["t1ce"] += plexus * random.uniform(0.3, 1.6)
    values["flair"] += plexus * random.uniform(0, 1.4)


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
    flow = (0.6 * _noise(tissue, random, 8, 24) + random.uniform(-0.8, 0.9)).clamp(0, 1.5)
    near_fluid = torch.maximum(tissue.fluid, blur(tissue.fluid, 1.0))
    values["flair"] += _base(tissue, random) * near_fluid * flow * random.uniform(0.4, 3)


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
