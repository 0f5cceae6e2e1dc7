"""Pages that open from disk, offline, and show everything a folder of results holds.

They are made from the files in the folder alone. Every name in them is untrusted: templates
escape all of them, and each page's own policy lets the browser run the page's own scripts, apply
its style sheet (all by their hashes) and show embedded pictures, and load nothing.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image as Picture

from anomri.errors import DamagedFile, UnreadableScan, UsageError
from anomri.files import guarded
from anomri.reporting.derivatives.naming import PICTURE, PREVIEW, derivative
from anomri.reporting.derivatives.sidecar import Record, read_sound_records
from anomri.reporting.figures.refusal import refusal_named
from anomri.reporting.pages.html import write_html
from anomri.reporting.pages.results_contents import Case, contents
from anomri.reporting.pages.run_page import FITTED_TOGETHER, METRICS, THRESHOLDS, run_contents
from anomri.reporting.pages.viewer_volumes import Preview, read_preview

T = TypeVar("T")
log = logging.getLogger(__name__)

PAGE = "report.html"
PAGES = "report"
TOGETHER = 20
"""More scans than this get a page each, and an index."""
HEAVY = 13_500_000
"""Bytes of pictures and viewer copies from which scans get a page each, too: with the viewer and
the words, a page stays below 15 MB."""
# Of a brain on black, WebP at this quality is a third of the PNG and looks the same.
QUALITY = 82


@dataclass(frozen=True, slots=True)
class Embedded:
    """A picture inside the page.

    Attributes:
        source: data URI.
        width: pixels.
        height: pixels.
    """

    source: str
    width: int
    height: int


def write_page(out: Path, *, scores: Path | None = None) -> Path:
    """Write ``report.html`` from what lies in ``out``: one file, nothing loaded from elsewhere.

    Shown is what the folder holds: a training, the measured rows of a paper, a comparison, or
    detections and their evaluation. Scans are taken one after another, so memory does not grow
    with the cohort; a large cohort gets an index and one page per scan.

    Args:
        out: folder that anomri wrote.
        scores: folder with the tables of an evaluation; ``out`` itself without it.

    Raises:
        UsageError: the folder is missing, or a sidecar in it is damaged.
    """
    if not out.is_dir():
        raise UsageError(
            f"{out.name}: expected a folder that `anomri detect` wrote, found none. "
            "Next: run `anomri detect` first, or check the spelling."
        )
    for file, (template, gather) in KINDS.items():
        if (out / file).is_file():
            return write_html(out / PAGE, template, **gather(out))
    return _write_results(out, scores or out)


KINDS: Mapping[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
    METRICS: ("run.html.j2", run_contents),
    THRESHOLDS: ("run.html.j2", run_contents),
    FITTED_TOGETHER: ("run.html.j2", run_contents),
}
"""File that tells what a folder holds, to the template and the function that fills it."""


def embed(out: Path, case: Case) -> Embedded | None:
    """Return a scan's picture as part of the page; None where the file is missing."""
    path = derivative(out, case.record.label, PICTURE)
    return _unless_damaged(lambda: _embedded(path)) if path.is_file() else None


def embed_refusal(out: Path, failure: Mapping[str, str]) -> Embedded | None:
    """Return the picture of a scan that a gate refused; None where it was something else."""
    path = refusal_named(out, failure.get("next_step", ""))
    return _unless_damaged(lambda: _embedded(path)) if path else None


def _embedded(path: Path) -> Embedded:
    step = "run `anomri detect` again after deleting this scan's folder"
    with guarded(path, expected="a picture", next_step=step), Picture.open(path) as image:
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "webp", quality=QUALITY)
        data = base64.b64encode(stream.getvalue()).decode("ascii")
        return Embedded(f"data:image/webp;base64,{data}", image.width, image.height)


def _unless_damaged(read: Callable[[], T]) -> T | None:
    """Return what is read; None, with a warning, where the file is damaged: the rest is shown."""
    try:
        return read()
    except (DamagedFile, UnreadableScan) as error:
        log.warning("%s", error)
        return None


def _write_results(out: Path, scores: Path) -> Path:
    records, damaged = read_sound_records(out)
    for error in damaged:
        log.warning("%s", error)
    apart = len(records) > TOGETHER or _weight(out, records) > HEAVY

    def embedded(case: Case) -> Embedded | None:
        return embed(out, case)

    def preview(case: Case) -> Preview | None:
        return _unless_damaged(lambda: read_preview(out, case.record.label))

    def refusal(failure: Mapping[str, str]) -> Embedded | None:
        return embed_refusal(out, failure)

    shown = contents(out, scores, records, damaged)
    shown |= {"embed": embedded, "preview": preview, "refusal": refusal}
    if apart:
        for case in shown["cases"]:
            page = out / PAGES / f"{case.record.label}.html"
            write_html(page, "subject.html.j2", **{**shown, "case": case, "index": PAGE})
    folder = f"{PAGES}/" if apart else ""
    return write_html(out / PAGE, "page.html.j2", **shown, pages=folder)


def _weight(out: Path, records: list[Record]) -> int:
    """Bytes that the scans would add to a page that holds them all."""
    paths = [derivative(out, record.label, PREVIEW) for record in records]
    pictures = [derivative(out, record.label, PICTURE) for record in records]
    # A picture is embedded as WebP, a third of its PNG, in base64.
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return sum(sizes) + sum(path.stat().st_size // 2 for path in pictures if path.is_file())
