"""Picture of a scan that a quality gate refused: three planes, and the outline of the mask."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from anomri.errors import Evidence, QualityRefused
from anomri.files import BIDS_PREFIX, REFUSAL_PICTURE, derivative, garbage_collected, write_bytes
from anomri.reporting.figures.slice_choice import ACROSS_DOWN
from anomri.scan import Mask

NAMED = re.compile(rf"\b(?P<label>{BIDS_PREFIX.pattern})_{re.escape(REFUSAL_PICTURE)}")
"""The picture, as :func:`write_refusal` names it in the next step."""
WIDE, HIGH = 9.0, 3.4  # inches
OUTLINE = "#ff6a13"
BRIGHT = 99.5  # percentile that is white


@contextmanager
def refusals_shown(folder: Path, label: str) -> Iterator[None]:
    """Write the picture of a refusal in the block; see :func:`write_refusal`."""
    try:
        yield
    except QualityRefused as error:
        write_refusal(error, folder, label)
        raise


def write_refusal(error: QualityRefused, folder: Path, label: str) -> bool:
    """Write the picture of a refusal where results would be, and name it in its next step.

    Args:
        error: of the check; without evidence nothing is written.
        folder: where detections are written.
        label: BIDS prefix of the scan.

    Returns:
        Whether there is a picture.
    """
    if error.evidence is None:
        return False
    path = derivative(folder, label, REFUSAL_PICTURE)
    write_bytes(path, refusal_picture(error.evidence, error.reason))
    error.next_step = f"look at {path.name}, then {error.next_step}"
    return True


def refusal_named(folder: Path, next_step: str) -> Path | None:
    """Return the picture that a failure's next step names; None if there is none.

    Args:
        folder: where detections were written.
        next_step: of the failure, untrusted: only a scan's label is taken from it.
    """
    if not (named := NAMED.search(next_step)):
        return None
    path = derivative(folder, named["label"], REFUSAL_PICTURE)
    return path if path.is_file() else None


@garbage_collected()
def refusal_picture(evidence: Evidence, reason: str) -> bytes:
    """Draw the sagittal, coronal and axial plane through the middle of the mask, as PNG."""
    figure = Figure(figsize=(WIDE, HIGH), facecolor="black", layout="constrained")
    figure.suptitle(f"Refused: {reason}", color="white", fontsize=9, wrap=True)
    grey = float(np.percentile(evidence.volume, BRIGHT)) or 1.0
    for axis, panel in enumerate(figure.subplots(1, 3)):
        across, down = ACROSS_DOWN[axis]
        index = _middle(evidence.mask, axis)
        plane = np.take(evidence.volume, index, axis).T
        found = np.take(evidence.mask, index, axis).T
        side = evidence.spacing[down] / evidence.spacing[across]
        panel.imshow(plane, cmap="gray", origin="lower", aspect=side, vmin=0, vmax=grey)
        if found.any() and not found.all():
            panel.contour(found, [0.5], colors=OUTLINE, linewidths=1)
        panel.invert_xaxis()  # the patient's right on the left; sagittal slices look to the left
        panel.set_axis_off()
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _middle(mask: Mask, axis: int) -> int:
    index = np.flatnonzero(mask.any(axis=ACROSS_DOWN[axis]))
    return int(index[len(index) // 2]) if index.size else mask.shape[axis] // 2
