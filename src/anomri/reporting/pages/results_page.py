"""The report of a folder of results: one HTML file that opens from disk, offline.

It is made from the files in the folder alone. Every name in them is untrusted: templates escape
all of them, and the page's policy lets the browser run the page's own scripts, apply its style
sheet (all by their hashes) and show embedded pictures, and load nothing.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image as Picture

from anomri.errors import DamagedFile, UnreadableScan, UsageError
from anomri.files import PICTURE, PREVIEW, REPORT, REPORT_FOLDER, derivative, guarded
from anomri.reporting.derivatives.sidecar import Record, read_sound_records
from anomri.reporting.figures.refusal import refusal_named
from anomri.reporting.pages.html import write_html
from anomri.reporting.pages.results_contents import Case, contents
from anomri.reporting.pages.viewer_volumes import Preview, read_preview

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_ON_ONE_PAGE = 20
"""More scans than this get a page each, and an index."""
HEAVY = 13_500_000
"""Likewise with more bytes of pictures and viewer copies: a page stays below 15 MB."""
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


def write_page(out: Path, *, scores: Path | None = None, **more: Any) -> Path:
    """Write ``report.html``, with nothing loaded from elsewhere.

    Scans are read one after another, so memory does not grow with the cohort.

    Args:
        out: folder with detections, with their evaluation or with both.
        scores: folder with the tables of an evaluation; ``out`` itself without it.
        more: further contents, and the package whose templates show them, see :func:`write_html`.

    Raises:
        UsageError: the folder is missing.
    """
    if not out.is_dir():
        raise UsageError(
            f"{out.name}: expected a folder that `anomri detect` wrote, found none. "
            "Next: run `anomri detect` first, or check the spelling."
        )
    scores = scores or out
    records, damaged = read_sound_records(out)
    for error in damaged.values():
        log.warning("%s", error)
    shown = contents(out, scores, records, list(damaged.values()))
    shown |= {"embed": partial(embed, out), "preview": partial(preview, out)}
    shown |= {"refusal": partial(embed_refusal, out), **more}
    apart = len(records) > MAX_ON_ONE_PAGE or _weight(out, records) > HEAVY
    names = [f"{case.record.label}.html" for case in shown["cases"]]
    around = zip(shown["cases"], names, ["", *names], [*names[1:], ""], strict=False)
    for case, name, before, after in around if apart else ():
        page, turns = out / REPORT_FOLDER / name, {"before": before, "after": after}
        write_html(page, "subject.html.j2", **shown, **turns, case=case, index=REPORT)
    return write_html(
        out / REPORT, "page.html.j2", **shown, pages=f"{REPORT_FOLDER}/" if apart else ""
    )


def embed(out: Path, case: Case) -> Embedded | None:
    """Return a scan's picture as part of the page; None where the file is missing."""
    path = derivative(out, case.record.label, PICTURE)
    return _unless_damaged(_embedded, path) if path.is_file() else None


def embed_refusal(out: Path, failure: Mapping[str, str]) -> Embedded | None:
    """Return the picture of a scan that a quality gate refused; None for other failures."""
    path = refusal_named(out, failure.get("next_step", ""))
    return _unless_damaged(_embedded, path) if path else None


def preview(out: Path, case: Case) -> Preview | None:
    """Return the viewer's copy of a scan; None where it is missing or damaged."""
    return _unless_damaged(partial(read_preview, out), case.record.label)


def _embedded(path: Path) -> Embedded:
    step = "run `anomri detect` again after deleting this scan's folder"
    with guarded(path, expected="a picture", next_step=step), Picture.open(path) as image:
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "webp", quality=QUALITY)
        data = base64.b64encode(stream.getvalue()).decode("ascii")
        return Embedded(f"data:image/webp;base64,{data}", image.width, image.height)


def _unless_damaged(read: Callable[[Any], T], source: Any) -> T | None:
    """Return what is read; None, with a warning, where the file is damaged."""
    try:
        return read(source)
    except (DamagedFile, UnreadableScan) as error:
        log.warning("%s", error)
        return None


def _weight(out: Path, records: Sequence[Record]) -> int:
    """Bytes that the scans would add to a page that holds them all."""

    def size(name: str) -> int:
        paths = (derivative(out, record.label, name) for record in records)
        return sum(path.stat().st_size for path in paths if path.is_file())

    # A picture is embedded as WebP, a third of its PNG, in base64.
    return size(PREVIEW) + size(PICTURE) // 2
