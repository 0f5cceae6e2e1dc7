"""Contrasts drawn at random: what a tissue looks like in a sequence that nobody chose."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anomri.scan import Mask, Volume
from anomri.synthesis.heads import LabelledHead, smooth_field, tissues

REMAPPED = 0.6  # share of images that keep the real scan's texture
STRIPPED = 0.08  # share of images of a brain alone
LESIONS = 0.4  # share of images with lesions


def draw_contrast(head: LabelledHead, draw: np.random.Generator) -> Volume:
    """Return (I, J, K) float32 >= 0, the head in a contrast that is drawn at random."""
    remapped = draw.random() < REMAPPED
    image = remap(head, draw) if remapped else paint(head, draw)
    if draw.random() < LESIONS:
        image = add_lesions(image, head.brain, draw)
    if draw.random() < STRIPPED:
        image = np.where(head.depth_mm <= draw.choice([0.0, 0.0, 2.0]), image, np.float32(0))
    return image.astype(np.float32, copy=False)


def paint(head: LabelledHead, draw: np.random.Generator) -> Volume:
    """Give each tissue a mean from U(0, 1) and a standard deviation from U(0, 0.1).

    Air is dark in three images of four. A share of the scan's own texture may be mixed in.
    """
    labels = tissues(head, draw)
    count = int(labels.max()) + 1
    mean = draw.uniform(0, 1, count).astype(np.float32)
    deviation = draw.uniform(0, 0.1, count).astype(np.float32)
    mean[0] = draw.uniform(0, 0.03) if draw.random() < 0.85 else draw.uniform(0, 0.5)
    if draw.random() < 0.6:
        mean[30] = draw.uniform(0, 0.25)  # bone is dark in every common sequence
    noise = draw.standard_normal(labels.shape, dtype=np.float32)
    if draw.random() < 0.5:
        noise = ndimage.gaussian_filter(noise, 0.7) * np.float32(2)
    image = mean[labels] + deviation[labels] * noise
    if draw.random() < 0.4:
        image += np.float32(draw.uniform(-0.5, 0.5)) * head.scan
    return np.clip(image, 0, None)


def remap(head: LabelledHead, draw: np.random.Generator) -> Volume:
    """Send the real scan through a random curve; monotone in one image of four.

    Brain and surroundings may go through different curves, since a sequence that brightens fat
    need not brighten the brain.
    """
    image = _curve(head.scan, draw)
    if draw.random() < 0.5:
        image = np.where(head.brain, image, _curve(head.scan, draw))
    dark_air = draw.random() < 0.85
    return np.where(head.head, image, head.scan) if dark_air else image


def _curve(scan: Volume, draw: np.random.Generator) -> Volume:
    knots = int(draw.integers(3, 8))
    heights = draw.uniform(0, 1, knots)
    kind = draw.random()
    if kind < 0.25:
        heights = np.sort(heights)
    if kind < 0.6:
        heights[0] = draw.uniform(0, 0.1)
    at = np.concatenate([[0.0], np.sort(draw.uniform(0.05, 1, knots - 2)), [1.2]])
    result: Volume = np.interp(scan, at, heights).astype(np.float32)
    return result


def add_lesions(image: Volume, brain: Mask, draw: np.random.Generator) -> Volume:
    """Draw one to four bright or dark blobs into the brain, 4 to 35 mm across or so."""
    centres = np.argwhere(brain)
    result = image.copy()
    scale = float(np.percentile(image[brain], 95)) or 1.0
    for _ in range(int(draw.integers(1, 5))):
        centre = centres[draw.integers(len(centres))]
        radius = draw.uniform(2, 18)
        reach = int(radius * 1.6) + 2
        box = tuple(
            slice(max(c - reach, 0), min(c + reach + 1, n))
            for c, n in zip(centre, image.shape, strict=True)
        )
        axes = np.ogrid[box]
        far = sum(
            ((axis - c) / draw.uniform(0.7, 1.4)) ** 2 for axis, c in zip(axes, centre, strict=True)
        )
        wobble = 1 + 0.3 * smooth_field(result[box].shape, draw, coarse=4)
        soft = 1 / (1 + np.exp((np.sqrt(far) - radius * wobble) / draw.uniform(0.4, 2)))
        soft = np.where(brain[box], soft, 0).astype(np.float32)
        colour = np.float32(scale * draw.uniform(0, 1.6))
        result[box] = result[box] * (1 - soft) + colour * soft
    return result
