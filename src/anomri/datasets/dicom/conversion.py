"""DICOM series to NIfTI files that live as long as one scan is worked on.

dcm2niix converts; the scanners' dialects are left to it. It sees the series under neutral names,
and its files lie in a private folder that is removed at the end.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from anomri.datasets.dicom.series import EXTRA, read_series
from anomri.datasets.dicom.slice_positions import straighten
from anomri.datasets.dicom.standard_copies import place_files
from anomri.errors import MissingPiece, UnreadableScan
from anomri.files import scratch_folder
from anomri.scan import Note, ScanFiles

CORRECTED = ("_Tilt", "_Eq")
OTHER_KINDS = ("_ph", "_real", "_imaginary")
SECONDS = 600
QUIET = ("-b", "n", "-z", "n", "-x", "i", "-m", "y", "-v", "0")
"""No sidecar (it would hold tags), no compression, no cropping, slices of a series merged."""


@contextmanager
def converted(files: ScanFiles) -> Iterator[ScanFiles]:
    """Yield the scan with NIfTI files in place of its DICOM series; they vanish afterwards.

    Raises:
        MissingPiece: dcm2niix is not installed.
        UnreadableScan: dcm2niix made no volume, or several.
    """
    if not files.slices:
        yield files
        return
    with scratch_folder() as folder:
        images, notes = {}, list(files.notes)
        for contrast, slices in files.slices.items():
            images[contrast] = _convert(slices, contrast, folder)
            found = _mend(images[contrast], slices)
            notes += [Note(note.kind, f"{contrast}: {note.text}") for note in found]
        contrasts = {**files.contrasts, **images}
        yield replace(files, contrasts=contrasts, slices={}, notes=tuple(notes))


def _mend(image: Path, slices: Sequence[Path]) -> list[Note]:
    """Put right what dcm2niix leaves as it is; return what was."""
    volumes, _ = read_series(slices)
    images = [image for volume in volumes for image in volume.images]
    shown = {str(image.header.get("PhotometricInterpretation") or "") for image in images}
    return straighten(image, [place for image in images for place in image.places], shown)


def _convert(slices: Sequence[Path], contrast: str, folder: Path) -> Path:
    source, target = folder / f"{contrast}-dicom", folder / contrast
    source.mkdir()
    target.mkdir()
    place_files(slices, source)
    command = [_program(), *QUIET, "-f", contrast, "-o", str(target), str(source)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        failed = f"ended with {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        failed = f"took longer than {SECONDS} s"
    made = _volumes(target)
    if failed or len(made) != 1:
        raise UnreadableScan(
            f"{contrast} series",
            expected=f"one volume from the {len(slices)} DICOM files of the series",
            got=f"{len(made)} from dcm2niix" + (f", which {failed}" if failed else ""),
            next_step="copy the series again, or choose another one with --series",
        )
    return made[0].rename(folder / f"{contrast}.nii")


def _volumes(folder: Path) -> list[Path]:
    """Return the magnitude that was made; where dcm2niix corrected the geometry, only that."""
    made = [path for path in sorted(folder.glob("*.nii")) if not path.stem.endswith(OTHER_KINDS)]
    better = [path for path in made if any(mark in path.stem for mark in CORRECTED)]
    return better or made


def _program() -> str:
    try:
        import dcm2niix
    except ImportError as error:
        if found := shutil.which("dcm2niix"):
            return found
        raise MissingPiece(EXTRA) from error
    return str(dcm2niix.bin)
