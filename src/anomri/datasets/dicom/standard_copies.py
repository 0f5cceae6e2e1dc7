"""Copies of DICOM files as the converter expects them; only of files that are otherwise.

dcm2niix reads no file without a preamble and none that is deflated, and takes images of several
series UIDs for several volumes. What is rewritten lies in a private folder for as long as the scan
is converted.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anomri.datasets.dicom.series import is_bare
from anomri.errors import UnreadableScan

if TYPE_CHECKING:
    from pydicom import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"


def place_files(slices: Sequence[Path], folder: Path) -> None:
    """Put the files of one volume into a folder under neutral names: links where they can be used.

    Raises:
        UnreadableScan: a file had to be written anew and could not be.
    """
    uids = [_about(path) for path in slices]
    several = len({uid for uid, _ in uids}) > 1
    for number, (path, (_, odd)) in enumerate(zip(slices, uids, strict=True)):
        target = folder / f"{number:06d}.dcm"
        if odd or several:
            _rewrite(path, target, uids[0][0])
        else:
            _link(path.resolve(), target)


def _about(path: Path) -> tuple[str, bool]:
    """Return a file's series UID, and whether the converter cannot read it."""
    header = _read(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    deflated = header.file_meta.get("TransferSyntaxUID") == DEFLATED
    return str(header.get("SeriesInstanceUID") or ""), deflated or is_bare(path)


def _rewrite(path: Path, target: Path, series: str) -> None:
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    data = _read(path)
    data.SeriesInstanceUID = series
    implicit, _ = data.original_encoding
    plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    syntax = data.file_meta.get("TransferSyntaxUID")
    data.file_meta.TransferSyntaxUID = plain if syntax in (None, DEFLATED) else syntax
    try:
        data.save_as(target, enforce_file_format=True)
    except Exception as error:  # whatever pydicom raises at a tag that it cannot write
        raise _refused(path, error) from error


def _read(path: Path, **options: Any) -> Dataset:
    import pydicom

    try:
        return pydicom.dcmread(path, force=is_bare(path), **options)
    except Exception as error:  # the file was read when it was listed: it has changed since
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> UnreadableScan:
    return UnreadableScan(
        path,
        expected="a whole DICOM file",
        got=f"a file that cannot be read ({type(error).__name__})",
        next_step="copy the series again",
    )


def _link(path: Path, link: Path) -> None:
    try:
        link.symlink_to(path)
    except OSError:
        shutil.copyfile(path, link)
