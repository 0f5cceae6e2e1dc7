"""The kinds of image in a scan's picture, each with the scale it is shown on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomri.reporting.derivatives.images import reconstructs
from anomri.reporting.derivatives.sidecar import cut_through, scale_top, unit_of
from anomri.reporting.formatting import capitalise
from anomri.scan import Detection, Mask, Scan


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of image across all slices.

    Attributes:
        title: written along its left edge.
        volume: (I, J, K), black outside the brain.
        low: value shown as black.
        high: value shown as the brightest colour.
        heat: coloured by how abnormal it is, not grey.
        outlined: whether the masks are drawn over it.
        painted: whether the regions are.
        cut: of a coloured one, the threshold.
    """

    title: str
    volume: NDArray[np.float32]
    low: float
    high: float
    heat: bool = False
    outlined: bool = False
    painted: bool = False
    cut: float = 0.0


def rows_of(detection: Detection) -> tuple[Row, ...]:
    """Return the rows of the picture: per contrast its images, then outlines and regions."""
    rows: list[Row] = []
    for channel in range(len(detection.anomaly.scan.contrasts)):
        rows += _rows_of_contrast(detection, channel)
    first = rows[0]
    rows.append(Row("Lesions", first.volume, first.low, first.high, outlined=True))
    if detection.regions is not None:
        rows.append(Row("Regions", first.volume, first.low, first.high, painted=True))
    return tuple(rows)


def _rows_of_contrast(detection: Detection, channel: int) -> list[Row]:
    anomaly, scan = detection.anomaly, detection.anomaly.scan
    low, high = grey_window(scan, channel)
    name = scan.contrasts[channel].upper()
    of = f"{name}\n" if len(scan.contrasts) > 1 else ""
    rows = [Row(name, _only(scan.image[channel], scan.brain, low), low, high)]
    if reconstructs(detection, channel):
        expected = _only(anomaly.reconstruction[channel], scan.brain, low)
        rows.append(Row(capitalise(f"{of}reconstruction"), expected, low, high))
    heat = _only(anomaly.values[channel], scan.brain, 0.0)
    top, cut = scale_of(detection), cut_of(detection, channel)
    rows.append(Row(capitalise(f"{of}anomaly"), heat, 0.0, top, heat=True, cut=cut))
    return rows


def cut_of(detection: Detection, channel: int) -> float:
    """Return the threshold through the map of one contrast."""
    shows = detection.anomaly.shows
    return cut_through(detection.provenance, detection.threshold.value, shows, channel)


def scale_of(detection: Detection) -> float:
    """Return the value at the top of the colour scale; the map's own maximum where none is due."""
    top = scale_top(detection.threshold.value, unit_of(detection))
    return top or max(float(detection.anomaly.values.max()), 0.0) or 1.0


def grey_window(scan: Scan, channel: int) -> tuple[float, float]:
    """Return the grey window of a contrast: the 1st to the 99.8th percentile in the brain.

    The reconstruction is shown with the window of the scan, or their difference would not be
    what the eye sees.
    """
    inside = scan.image[channel][scan.brain]
    if inside.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(inside, (1, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)


def _only(volume: NDArray[np.float32], brain: Mask, outside: float) -> NDArray[np.float32]:
    return np.where(brain, volume, np.float32(outside))
