"""Reports: an HTML page for a folder, a viewer for a scan."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anomri.batch import ShardNote, finish
from anomri.datasets import converted, find
from anomri.errors import DamagedFile, UnreadableScan, UsageError
from anomri.files import (
    EVALUATION,
    EVALUATION_FAILURES,
    FAILURES,
    RATINGS,
    SUMMARY,
    remove_stale_drafts,
)
from anomri.pipeline.detection import detection_tables
from anomri.pipeline.evaluation import evaluation_tables
from anomri.pipeline.rating import merge_ratings, rating_panel, read_ratings, write_ratings
from anomri.pipeline.run_page import write_run_page
from anomri.preprocessing import check_mask_grid
from anomri.reporting import read_record, read_sound_records, write_page, write_view

log = logging.getLogger(__name__)
TABLES: dict[str, Callable[[Path, list[ShardNote]], object]] = {
    "detect": detection_tables,
    "evaluate": evaluation_tables,
}


def report(folder: Path, *, scores: Path | None = None, ratings: Sequence[Path] = ()) -> Path:
    """Write one HTML page of a run folder, or of detections and their evaluation.

    Tables that the parts of a job array left unfinished are written first.

    Args:
        folder: of the results.
        scores: folder of their evaluation, if another.
        ratings: tables of ratings that readers saved from the report; they are added to
            ``ratings.tsv`` in the folder, which the page shows.

    Raises:
        UsageError: a table of ratings is missing or damaged, or the folder holds no results.
    """
    for results in {folder, scores or folder}:
        remove_stale_drafts(results)
        finish(results, TABLES)
    if ratings:
        _add_ratings(folder, ratings)
    page = None if scores else write_run_page(folder)
    if page is None:
        _refuse_others(folder)
    return page or write_page(folder, scores=scores, **_panel(folder))


def _refuse_others(folder: Path) -> None:
    """Write no page into a folder that is not of anomri, such as one of scans."""
    tables = (SUMMARY, FAILURES, EVALUATION, EVALUATION_FAILURES)
    if not folder.is_dir() or any((folder / name).is_file() for name in tables):
        return
    if not any(read_sound_records(folder)):
        raise UsageError(
            f"{folder.resolve().name}: expected results of `anomri detect` or `anomri evaluate`, "
            "found none. Next: name the folder that one of them wrote."
        )


def _add_ratings(folder: Path, ratings: Sequence[Path]) -> None:
    """Add ratings to those of a folder of detections."""
    if not (folder / SUMMARY).is_file():
        raise UsageError(
            f"{folder.resolve().name}: expected results of `anomri detect`, to add ratings to, "
            "found no summary.tsv. Next: name the folder whose report was rated."
        )
    kept = folder / RATINGS
    tables = [read_ratings(path) for path in ([kept] if kept.is_file() else []) + list(ratings)]
    write_ratings(kept, merge_ratings(tables))


def _panel(folder: Path) -> dict[str, Any]:
    """Return the panel of ratings of a report, with those that lie in the folder."""
    kept = folder / RATINGS
    try:
        ratings = merge_ratings([read_ratings(kept)]) if kept.is_file() else []
    except DamagedFile as error:  # the results are shown without it
        log.warning("%s", error)
        ratings = []
    return rating_panel(ratings, read_sound_records(folder)[0] if ratings else [])


def has_damaged_results(folder: Path) -> bool:
    """Whether a sidecar in a folder of results cannot be read; the report names it."""
    return bool(read_sound_records(folder)[1])


def view(
    source: Path,
    *,
    result: Path | None = None,
    out: Path | None = None,
    orientation: str | None = None,
    mask_grid: str = "auto",
) -> Path:
    """Write the viewer of one scan, next to its result or in the working directory.

    Raises:
        UsageError: there is not exactly one scan, it has no result, or there is no such mask grid.
    """
    check_mask_grid(mask_grid)
    found = find(source)
    if len(found.scans) != 1:
        raise UsageError(
            f"{source.resolve().name}: expected one scan, found {len(found.scans)}. "
            "Next: name the file or the folder of one scan."
        )
    files = found.scans[0]
    if result is not None:
        _check_result(result, files.label)
    page = out or (result or Path()) / f"{files.label}_view.html"
    remove_stale_drafts(page.parent, recursive=False)
    with converted(files) as images:
        return write_view(
            images, page, result=result, orientation=orientation or "", mask_grid=mask_grid
        )


def _check_result(result: Path, label: str) -> None:
    """Raise unless a folder holds a readable result of a scan."""
    try:
        record = read_record(result, label)
    except DamagedFile as error:  # concerns this scan only
        raise UnreadableScan(
            error.file, expected="a readable result", got=error.reason, next_step=error.next_step
        ) from error
    if record is None:
        raise UsageError(
            f"{result.resolve().name}: expected a result of {label}, found none. "
            "Next: run `anomri detect` on this scan, or name another folder."
        )
