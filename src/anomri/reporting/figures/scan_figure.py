"""The picture of one scan: image, reconstruction, anomaly map and lesions, in columns of slices.

The anomaly map has one colour scale for every scan of every run, from 0 to three times the
threshold (a probability to 1), so that a colour always means the same distance from it.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from matplotlib.colors import to_rgb, to_rgba_array
from numpy.typing import NDArray
from PIL import Image as Picture

from anomri.files import garbage_collected
from anomri.reporting.figures.mosaic import FOUND, HEAT, TRUTH, Mosaic
from anomri.reporting.figures.region_colours import FILL, REGION_NAMES
from anomri.scan import Detection

GREY_STEPS, HEAT_STEPS, LINE_STEPS, REGION_STEPS, KEY_STEPS = 64, 96, 20, 15, 3


@garbage_collected()
def picture(detection: Detection) -> bytes:
    """Draw one scan as a PNG file.

    Args:
        detection: the result; the expert's lesions are outlined too where the scan has them.
    """
    pixels = Picture.fromarray(Mosaic(detection).draw()).convert("RGB")
    stream = io.BytesIO()
    few = pixels.quantize(palette=_palette(), dither=Picture.Dither.NONE)
    few.save(stream, "png", compress_level=6)  # level 9: three times as long, 2 % smaller
    return stream.getvalue()


@cache
def _palette() -> Picture.Image:
    """The same 256 colours for every picture, at a third of the size of full colour.

    A palette fitted to each picture would shift the colour scale from scan to scan.
    """
    greys = [f"{shade:.4f}" for shade in np.linspace(0, 1, GREY_STEPS)]
    heat = HEAT(np.linspace(0, 1, HEAT_STEPS))[:, :3]
    lines = [_shades(colour, LINE_STEPS) for colour in (FOUND, TRUTH)]
    # Over every grey that a slice may have, or a light one would be taken for another colour.
    over = np.linspace(0, 1, REGION_STEPS)[:, None]
    keys = [_shades(colour, KEY_STEPS) for _, _, _, colour in REGION_NAMES]
    regions = [FILL * np.array(to_rgb(name[3])) + (1 - FILL) * over for name in REGION_NAMES]
    colours = np.concatenate([to_rgba_array(greys)[:, :3], heat, *lines, *keys, *regions])
    palette = Picture.new("P", (1, 1))
    palette.putpalette(np.round(colours * 255).astype(np.uint8).ravel().tolist())
    return palette


def _shades(colour: str, count: int) -> NDArray[np.float64]:
    """Blend from dark grey to ``colour``: the softened edges of a line."""
    share = np.linspace(0.15, 1, count)[:, None]
    blend: NDArray[np.float64] = share * np.array(to_rgb(colour)) + (1 - share) * 0.3
    return blend
