"""Export of results for fMRIPrep, FastSurfer, ITK-SNAP, 3D Slicer and nnU-Net.

To add a program: write one function and add one line to ``EXPORTS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.batch import Outcome
from anomri.datasets import Found, converted
from anomri.errors import Failure, ScanError, UsageError
from anomri.files import (
    BIDSIGNORE,
    LESION_ROI,
    anat_folder,
    make_folder,
    read_text,
    remove_stale_drafts,
    replacing,
    write_text,
)
from anomri.pipeline.export_formats.colours import write_itksnap_labels, write_slicer_colours
from anomri.pipeline.export_formats.result import T1, ExportedResult
from anomri.preprocessing import (
    TEMPLATE_SPACE,
    image_on,
    itk_transform,
    read_volume,
    write_image,
)
from anomri.reporting import Record, read_sound_records, write_failures
from anomri.scan import Grid, ScanFiles

TRANSFORM = f"from-orig_to-{TEMPLATE_SPACE}_mode-image_xfm.txt"


def for_fmriprep(result: ExportedResult, out: Path) -> None:
    """Write the lesion mask on the T1's grid, where fMRIPrep looks for it in the data set."""
    mask, grid = result.mask_on_t1()
    folder = anat_folder(out, result.label)
    _write(mask, grid, folder / f"{result.label}_{LESION_ROI}")
    _ignore_exported(out / BIDSIGNORE)


def for_fastsurfer(result: ExportedResult, out: Path) -> None:
    """Write the lesion mask on the T1's grid, for ``--lesion_mask``."""
    mask, grid = result.mask_on_t1()
    _write(mask, grid, out / f"{result.label}_lesion_mask.nii.gz")


def for_itksnap(result: ExportedResult, out: Path) -> None:
    """Write the numbered lesions, and their descriptions."""
    numbers, grid = result.numbers()
    _write(numbers, grid, out / f"{result.label}_lesions.nii.gz")
    write_itksnap_labels(out / f"{result.label}_lesions.txt", _present(numbers))


def for_slicer(result: ExportedResult, out: Path) -> None:
    """Write the numbered lesions as 3D Slicer names segmentations, and their colour table."""
    numbers, grid = result.numbers()
    _write(numbers, grid, out / f"{result.label}_lesions.seg.nii.gz")
    write_slicer_colours(out / f"{result.label}_lesions.ctbl", _present(numbers))


def for_nnunet(result: ExportedResult, out: Path) -> None:
    """Write image and mask as a training case of nnU-Net."""
    mask, grid = result.mask()
    values, own_grid = read_volume(result.image(result.contrast), result.contrast)
    if values.shape != mask.shape:
        raise ScanError(
            result.label,
            expected=f"the scan that the result was made of, with {mask.shape} voxels",
            got=f"one with {values.shape}",
            next_step="give the right scans with --scans",
        )
    _write(values, own_grid, out / "imagesTr" / f"{result.label}_0000.nii.gz")
    _write(mask, grid, out / "labelsTr" / f"{result.label}.nii.gz")


ON_T1 = ("fmriprep", "fastsurfer")
FROM_SCANS = (*ON_T1, "nnunet")
"""Programs that need the scans."""
Exporter = Callable[[ExportedResult, Path], None]
EXPORTS: Mapping[str, Exporter] = {
    "fmriprep": for_fmriprep,
    "fastsurfer": for_fastsurfer,
    "itksnap": for_itksnap,
    "slicer": for_slicer,
    "nnunet": for_nnunet,
}


def export(results: Path, out: Path, program: str, *, found: Found | None = None) -> Outcome:
    """Write the results of a folder for another program, and the transforms to the template.

    Args:
        results: folder written by :func:`anomri.pipeline.detect`.
        out: folder to write to; created if missing.
        program: a name of :data:`EXPORTS`.
        found: the scans that the results were made of.

    Raises:
        UsageError: unknown program, no results, scans that are needed and not given, or the folder
            of the results itself to write to.
    """
    if program not in EXPORTS:
        raise UsageError(
            f"program '{program}': expected one of {', '.join(EXPORTS)}. Next: choose one."
        )
    records, damaged = read_sound_records(results)
    if not records and not damaged:
        raise UsageError(
            f"{results.resolve().name}: expected a folder that `anomri detect` wrote, found no "
            "result. "
            "Next: run `anomri detect` first, or check the spelling."
        )
    _check_request(results, out, program, records, found)
    make_folder(out)
    remove_stale_drafts(out)
    files = {} if found is None else {scan.label: scan for scan in found.scans}
    outcome = _export_all(results, records, files, out, program)
    outcome.failures += [
        Failure.of(error, subject=name, label=name) for name, error in damaged.items()
    ]
    outcome.exit_codes |= {ScanError.exit_code} if outcome.failures else set()
    if program == "nnunet" and records:
        _write_nnunet_description(out, records[0].contrasts[0], len(outcome.done))
    if has_failure_table(program):
        write_failures(out, outcome.failures)
    return outcome


def _export_all(
    results: Path,
    records: Sequence[Record],
    files: Mapping[str, ScanFiles],
    out: Path,
    program: str,
) -> Outcome:
    """Write each result; one that cannot be written does not stop the others."""
    outcome = Outcome()
    for record in records:
        try:
            _export_one(results, record, files.get(record.label), out, program)
            outcome.done.append(record.label)
        except ScanError as error:
            outcome.failures.append(Failure.of(error, subject=record.subject, label=record.label))
    return outcome


def has_failure_table(program: str) -> bool:
    """Whether ``failures.tsv`` is written: not among the scans of a BIDS data set."""
    return program != "fmriprep"


def _check_request(
    results: Path, out: Path, program: str, records: Sequence[Record], found: Found | None
) -> None:
    """Raise where nothing could be written, or where files of the results would be replaced."""
    if out.resolve() == results.resolve():
        raise UsageError(
            f"{out.resolve().name}: expected another folder than that of the results. "
            "Next: choose one with -o."
        )
    on_t1 = program in ON_T1 and all(record.contrasts[0] == T1 for record in records)
    if found is None and program in FROM_SCANS and not on_t1:
        raise UsageError(
            f"--for {program}: expected the scans that the results were made of, got none. "
            "Next: give their folder with --scans."
        )


def _export_one(
    results: Path, record: Record, files: ScanFiles | None, out: Path, program: str
) -> None:
    """Write one result; of DICOM series, images are there as long as that takes."""
    with nullcontext(files) if files is None else converted(files) as images:
        result = ExportedResult(results, record, images)
        EXPORTS[program](result, out)
        _write_transform(result, out, program)


def _ignore_exported(path: Path) -> None:
    """Add what is written to a ``.bidsignore``, which may be that of the data set itself."""
    lines = read_text(path).splitlines() if path.is_file() else []
    own = (f"*_{name}" for name in (LESION_ROI, TRANSFORM))
    if new := [line for line in own if line not in lines]:
        write_text(path, "".join(f"{one}\n" for one in (*lines, *new)))


def _write_transform(result: ExportedResult, out: Path, program: str) -> None:
    """Write the transform beside the images; nnU-Net's folders hold cases alone."""
    matrix = result.record.to_template
    if matrix is None or program == "nnunet":
        return
    folder = anat_folder(out, result.label) if program == "fmriprep" else out
    write_text(folder / f"{result.label}_{TRANSFORM}", itk_transform(np.array(matrix)))


def _write_nnunet_description(out: Path, contrast: str, count: int) -> None:
    description = {
        "channel_names": {"0": contrast.upper()},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": count,
        "file_ending": ".nii.gz",
    }
    write_text(out / "dataset.json", json.dumps(description, indent=2) + "\n")


def _write(array: NDArray[np.generic], grid: Grid, path: Path) -> None:
    with replacing(path) as draft:
        write_image(image_on(array, grid), draft)


def _present(numbers: NDArray[np.uint16]) -> Sequence[int]:
    return [int(number) for number in np.unique(numbers) if number]
