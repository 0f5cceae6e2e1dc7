"""Picture of two time points: axial slices side by side, lesions outlined by class."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from anomri.files import garbage_collected
from anomri.longitudinal.evolution import Evolution
from anomri.scan import Mask

SLICES = 4
INCHES = 2.6


@garbage_collected()
def comparison_figure(
    evolution: Evolution,
    number: int,
    overlays: Sequence[NDArray[np.uint8]],
    shown: Mask,
    look: tuple[Sequence[str], tuple[float, float]],
) -> bytes:
    """Draw the axial slices with the largest lesions at two time points, as PNG.

    Args:
        evolution: the images.
        number: index of the later time point, from 1.
        overlays: (I, J, K) classes of the lesions at the earlier and the later one.
        shown: (I, J, K) bool, what is drawn.
        look: colours of the classes, and the values that are black and white.
    """
    chosen = _slices(overlays, shown)
    figure = Figure(
        figsize=(INCHES * len(chosen), INCHES * 2.5), facecolor="black", layout="constrained"
    )
    axes = figure.subplots(2, len(chosen), squeeze=False)
    for row, overlay in enumerate(overlays):
        image = np.where(shown, evolution.images[number - 1 + row], look[1][0])
        for panel, index in zip(axes[row], chosen, strict=True):
            panel.imshow(
                image[:, :, index].T, cmap="gray", origin="lower", vmin=look[1][0], vmax=look[1][1]
            )
            for code in np.unique(overlay[:, :, index]):
                if code:
                    mask = (overlay[:, :, index] == code).T
                    panel.contour(mask, [0.5], colors=look[0][code - 1], linewidths=1.2)
            panel.invert_xaxis()  # the patient's right on the left
            panel.set_axis_off()
        axes[row][0].set_title(f"Time point {number + row}", color="white", fontsize=10, loc="left")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return stream.getvalue()


def _slices(overlays: Sequence[NDArray[np.uint8]], shown: Mask) -> list[int]:
    """Return axial slices from top to bottom: those with most of the lesions, apart."""
    area = sum((overlay > 0).sum(axis=(0, 1)) for overlay in overlays)
    inside = np.flatnonzero(shown.any(axis=(0, 1)))
    apart = max(1, len(inside) // (3 * SLICES))
    usual = [int(index) for index in inside[len(inside) // 4 : -len(inside) // 4]]
    with_lesions = [int(index) for index in np.argsort(-area, kind="stable") if area[index]]
    chosen: list[int] = []
    for index in [*with_lesions, *usual]:
        if all(abs(index - other) >= apart for other in chosen):
            chosen.append(index)
    return sorted(chosen[:SLICES] or usual[:1], reverse=True)
