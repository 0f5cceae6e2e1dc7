"""Images in two files: a header (``.hdr``) and its voxels (``.img``)."""

from __future__ import annotations

from pathlib import Path

OTHER_HALF = {".hdr": ".img", ".img": ".hdr"}


def half_of_pair(path: Path) -> bool:
    """Whether a file is by its ending the header or the voxels of a pair."""
    return path.suffix.lower() in OTHER_HALF


def partner_of(path: Path) -> Path | None:
    """Return the other file of a pair; None if the image is one file, or the other is missing."""
    ending = OTHER_HALF.get(path.suffix.lower(), "")
    candidates = (path.with_suffix(one) for one in (ending, ending.upper()) if ending)
    return next((other for other in candidates if other.is_file()), None)


def files_of(path: Path) -> tuple[Path, ...]:
    """Return all files of an image.

    >>> files_of(Path("flair.nii.gz"))
    (PosixPath('flair.nii.gz'),)
    """
    partner = partner_of(path)
    return (path,) if partner is None else (path, partner)
