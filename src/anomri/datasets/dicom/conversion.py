"""Conversion of DICOM series to temporary NIfTI files.

dcm2niix converts them, since it handles the vendors' variants. It gets the series under neutral
names and writes into a private folder that is removed at the end.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from anomri.datasets.dicom.converter_input import place_files
from anomri.datasets.dicom.geometry_correction import correct_volume
from anomri.datasets.dicom.headers import EXTRA, read_series
from anomri.errors import MissingPiece, UnreadableScan
from anomri.files import scratch_folder
from anomri.scan import Note, ScanFiles

CORRECTED = ("_Tilt", "_Eq")
NOT_MAGNITUDE = ("_ph", "_real", "_imaginary")
TIMEOUT_SECONDS = 600
OPTIONS = ("-b", "n", "-z", "n", "-x", "i", "-m", "y", "-v", "0")
"""No sidecar (it would contain tags), no compression, no cropping, slices of a series merged."""


@contextmanager
def converted(files: ScanFiles) -> Iterator[ScanFiles]:
    """Yield the scan with temporary NIfTI files instead of its DICOM series.

    Raises:
        MissingPiece: dcm2niix is not installed.
        UnreadableScan: dcm2niix produced no volume, or several.
    """
    if not files.slices:
        yield files
        return
    with scratch_folder() as folder:
        images, notes = {}, list(files.notes)
        for contrast, slices in files.slices.items():
            images[contrast] = _convert(slices, contrast, folder)
            corrected = _correct(images[contrast], slices)
            notes += [Note(note.kind, f"{contrast}: {note.text}") for note in corrected]
        contrasts = {**files.contrasts, **images}
        yield replace(files, contrasts=contrasts, slices={}, notes=tuple(notes))


def _correct(image: Path, slices: Sequence[Path]) -> list[Note]:
    """Correct what dcm2niix does not, and return notes on what was changed."""
    volumes, _ = read_series(slices)
    images = [image for volume in volumes for image in volume.images]
    photometric = {str(image.header.get("PhotometricInterpretation") or "") for image in images}
    places = [place for image in images for place in image.places]
    return correct_volume(image, places, photometric)


def _convert(slices: Sequence[Path], contrast: str, folder: Path) -> Path:
    source, target = folder / f"{contrast}-dicom", folder / contrast
    source.mkdir()
    target.mkdir()
    place_files(slices, source)
    command = [_program(), *OPTIONS, "-f", contrast, "-o", str(target), str(source)]
    try:
        process = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
        failed = f"exited with {process.returncode}" if process.returncode else ""
    except subprocess.TimeoutExpired:
        failed = f"took longer than {TIMEOUT_SECONDS} s"
    volumes = _volumes(target)
    if failed or len(volumes) != 1:
        raise UnreadableScan(
            f"{contrast} series",
            expected=f"one volume from the {len(slices)} DICOM files of the series",
            got=f"{len(volumes)} from dcm2niix" + (f", which {failed}" if failed else ""),
            next_step="copy the series again, or choose another one with --series",
        )
    return volumes[0].rename(folder / f"{contrast}.nii")


def _volumes(folder: Path) -> list[Path]:
    """Return the magnitude volumes, or only those whose geometry dcm2niix has corrected."""
    paths = sorted(folder.glob("*.nii"))
    volumes = [path for path in paths if not path.stem.endswith(NOT_MAGNITUDE)]
    corrected = [path for path in volumes if any(mark in path.stem for mark in CORRECTED)]
    return corrected or volumes


def _program() -> str:
    try:
        import dcm2niix
    except ImportError as error:
        if program := shutil.which("dcm2niix"):
            return program
        raise MissingPiece(EXTRA) from error
    return str(dcm2niix.bin)
