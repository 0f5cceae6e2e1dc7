"""Results are shown: one page for a folder, one viewer for a scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anomri.datasets import converted, find
from anomri.errors import DamagedFile, UnreadableScan, UsageError
from anomri.files import remove_stale_drafts
from anomri.pipeline.detection import detection_tables
from anomri.pipeline.measurement import evaluation_tables
from anomri.pipeline.parts import Note, finish
from anomri.preprocessing import check_mask_grid
from anomri.reporting import read_record, read_sound_records, write_page, write_view

TABLES: dict[str, Callable[[Path, list[Note]], object]] = {
    "detect": detection_tables,
    "evaluate": evaluation_tables,
}


def report(folder: Path, *, scores: Path | None = None) -> Path:
    """Write one HTML page that shows everything in a folder of anomri's; see `write_page`.

    Tables that the parts of a job array left unfinished are finished first.
    """
    for place in {folder, scores or folder}:
        remove_stale_drafts(place)
        finish(place, TABLES)
    return write_page(folder, scores=scores)


def has_damaged_results(folder: Path) -> bool:
    """Whether a scan's sidecar in a folder of results cannot be read back; the page says which."""
    return bool(read_sound_records(folder)[1])


def view(
    source: Path,
    *,
    result: Path | None = None,
    out: Path | None = None,
    orientation: str = "",
    mask_grid: str = "auto",
) -> Path:
    """Write a page with the viewer of one scan, beside its result or in the present folder.

    Raises:
        UsageError: there are several scans, or the result holds none of this scan.
    """
    check_mask_grid(mask_grid)
    found = find(source)
    if len(found.scans) != 1:
        raise UsageError(f"{source.name}: {len(found.scans)} scans; the viewer shows one")
    files = found.scans[0]
    if result is not None:
        _check_result(result, files.label)
    page = out or (result or Path()) / f"{files.label}_view.html"
    remove_stale_drafts(page.parent, below=False)
    with converted(files) as images:
        return write_view(images, page, result=result, orientation=orientation, mask_grid=mask_grid)


def _check_result(result: Path, label: str) -> None:
    """Raise unless a folder holds a result of a scan that can be read back."""
    try:
        record = read_record(result, label)
    except DamagedFile as error:  # the fault of one scan: the next may be looked at
        raise UnreadableScan(
            error.file, expected="a sound result", got=error.reason, next_step=error.next_step
        ) from error
    if record is None:
        raise UsageError(f"{result.name}: holds no detection of {label}")
