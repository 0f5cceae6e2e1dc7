"""Label tables with colours: ITK-SNAP's label descriptions and 3D Slicer's colour tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anomri.files import write_text

# The palette of Okabe and Ito, without black, so that colour-blind readers can tell lesions apart.
PALETTE = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)


def write_itksnap_labels(path: Path, numbers: Sequence[int]) -> None:
    """Write the descriptions of lesions that ITK-SNAP imports.

    Args:
        path: ``.txt``.
        numbers: of the lesions.
    """
    rows = ['0 0 0 0 0 0 0 "Clear Label"']
    for number in numbers:
        red, green, blue = _colour(number)
        rows.append(f'{number} {red} {green} {blue} 1 1 1 "lesion {number}"')
    write_text(path, "".join(f"{row}\n" for row in rows))


def write_slicer_colours(path: Path, numbers: Sequence[int]) -> None:
    """Write the colour table of lesions that 3D Slicer loads beside a segmentation.

    Args:
        path: ``.ctbl``.
        numbers: of the lesions.
    """
    rows = ["# Color table file", "0 background 0 0 0 0"]
    for number in numbers:
        red, green, blue = _colour(number)
        rows.append(f"{number} lesion_{number} {red} {green} {blue} 255")
    write_text(path, "".join(f"{row}\n" for row in rows))


def _colour(number: int) -> tuple[int, int, int]:
    return PALETTE[(number - 1) % len(PALETTE)]
