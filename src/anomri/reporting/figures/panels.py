"""The rows of a scan's picture, each an image with its grey or colour scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anomri.preprocessing import percentiles
from anomri.reporting.derivatives.images import reconstructs
from anomri.reporting.derivatives.sidecar import scale_top
from anomri.reporting.formatting import capitalise
from anomri.scan import Detection


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of image across all slices.

    Attributes:
        title: written along its left edge.
        volume: (I, J, K), ``low`` outside the brain.
        low: value shown as black.
        high: value shown as the brightest grey or colour.
        contrast: of the scan, that it belongs to.
        kind: image, reconstruction, or anomaly map in colours; or the first image with the masks
            as outlines or the regions as colours over it.
        cut: threshold of an anomaly map.
    """

    title: str
    volume: NDArray[np.float32]
    low: float
    high: float
    contrast: str
    kind: Literal["image", "reconstruction", "anomaly", "outlines", "regions"]
    cut: float = 0.0


def rows_of(detection: Detection) -> tuple[Row, ...]:
    """Return the rows of the picture: the images of each contrast, then outlines and regions."""
    rows = list(image_rows(detection))
    rows.append(replace(rows[0], title="Lesions", kind="outlines"))
    if detection.regions is not None:
        rows.append(replace(rows[0], title="Regions", kind="regions"))
    return tuple(rows)


def image_rows(detection: Detection) -> Iterator[Row]:
    """Yield image, reconstruction where there is one, and anomaly map of each contrast."""
    anomaly, scan = detection.anomaly, detection.anomaly.scan
    for channel, contrast in enumerate(scan.contrasts):
        low, high = grey_window(scan.image[channel][scan.brain])
        name = contrast.upper()
        prefix = f"{name}\n" if len(scan.contrasts) > 1 else ""
        image = np.where(scan.brain, scan.image[channel], np.float32(low))
        yield Row(name, image, low, high, contrast, "image")
        if reconstructs(detection, channel):
            # With the window of the scan, or their difference would not be what the eye sees.
            expected = np.where(scan.brain, anomaly.reconstruction[channel], np.float32(low))
            title = capitalise(f"{prefix}reconstruction")
            yield Row(title, expected, low, high, contrast, "reconstruction")
        values = np.where(scan.brain, anomaly.values[channel], np.float32(0))
        cut = detection.provenance.threshold_of(channel, anomaly.shows, detection.threshold.value)
        title = capitalise(f"{prefix}anomaly")
        yield Row(title, values, 0.0, scale_of(detection), contrast, "anomaly", cut)


def scale_of(detection: Detection) -> float:
    """Return the upper end of the colour scale; the map's maximum where no rule gives one."""
    top = scale_top(detection.threshold.value, detection.units)
    return top or max(float(detection.anomaly.values.max()), 0.0) or 1.0


def grey_window(values: NDArray[Any]) -> tuple[float, float]:
    """Return the 1st and the 99.8th percentile of values, at least apart enough for a scale."""
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in percentiles(values, (1, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)
