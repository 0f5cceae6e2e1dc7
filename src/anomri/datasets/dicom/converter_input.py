"""DICOM files for the converter: links, or rewritten copies of files that it cannot read.

dcm2niix does not read files without a preamble or deflated ones, and takes images of several series
UIDs for several volumes. Copies are written to the private folder of the conversion.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anomri.datasets.dicom.headers import is_bare
from anomri.errors import UnreadableScan

if TYPE_CHECKING:
    from pydicom import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"


def place_files(slices: Sequence[Path], folder: Path) -> None:
    """Link or copy the files of a volume into a folder under neutral names.

    Raises:
        UnreadableScan: a file must be rewritten and cannot be.
    """
    series = [_series_of(path) for path in slices]
    several = len({uid for uid, _ in series}) > 1
    for number, (path, (_, unsupported)) in enumerate(zip(slices, series, strict=True)):
        target = folder / f"{number:06d}.dcm"
        if unsupported or several:
            _rewrite(path, target, series[0][0])
        else:
            _link(path.resolve(), target)


def _series_of(path: Path) -> tuple[str, bool]:
    """Return the series UID of a file, and whether the converter cannot read it."""
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
    except Exception as error:  # pydicom raises various errors for tags that it cannot write
        raise _refused(path, error) from error


def _read(path: Path, **options: Any) -> Dataset:
    import pydicom

    try:
        return pydicom.dcmread(path, force=is_bare(path), **options)
    except Exception as error:  # the file was readable when listed and has changed since
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> UnreadableScan:
    return UnreadableScan(
        path,
        expected="a complete DICOM file",
        got=f"a file that cannot be read ({type(error).__name__})",
        next_step="copy the series again",
    )


def _link(path: Path, link: Path) -> None:
    try:
        link.symlink_to(path)
    except OSError:
        shutil.copyfile(path, link)
