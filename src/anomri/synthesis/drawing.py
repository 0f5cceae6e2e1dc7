"""One image of one head, from label map to scan, top to bottom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from anomri.scan import Mask, Volume
from anomri.synthesis.acquisition import Scanner, measure
from anomri.synthesis.contrasts import draw_contrast
from anomri.synthesis.geometry import Placing, move
from anomri.synthesis.heads import LabelledHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What images are drawn, and onto which grid.

    Attributes:
        shape: (I, J, K) of the image.
        spacing: mm, along each axis.
        placing: how far the head may be moved.
        scanner: how badly it may be measured.
    """

    shape: tuple[int, int, int]
    spacing: float
    placing: Placing = field(default_factory=Placing)
    scanner: Scanner = field(default_factory=Scanner)


def draw_image(
    head: LabelledHead, drawing: Drawing, draw: np.random.Generator
) -> tuple[Volume, Mask]:
    """Return an image and the brain in it, both (I, J, K) on the drawing's grid."""
    image = draw_contrast(head, draw)
    pair = np.stack([image, head.brain.astype(np.float32)])
    image, brain = move(
        pair,
        head.brain,
        head.spacing,
        shape=drawing.shape,
        spacing_out=drawing.spacing,
        placing=drawing.placing,
        draw=draw,
    )
    measured, seen = measure(image, drawing.spacing, drawing.scanner, draw)
    return measured, (brain >= 0.5) & seen
