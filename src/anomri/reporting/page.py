"""One page that opens from disk, offline, and shows everything a run left behind.

It is made from the files in the folder alone. Every name in it is untrusted: templates escape
all of them, and the page's own policy lets the browser run one script, apply one style sheet
(both by their hashes) and show embedded pictures, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image as Picture

from anomri.errors import UsageError
from anomri.reporting.naming import PICTURE, derivative
from anomri.reporting.record import read_records
from anomri.reporting.view import FILTERS, Case, contents

PAGE = "report.html"
TEMPLATES = resources.files("anomri.reporting") / "templates"
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

    Scans are taken one after another, so memory does not grow with the cohort.

    Args:
        out: folder with detections; the table of failures is shown where it is there too.
        scores: folder with the tables of an evaluation; ``out`` itself without it.

    Raises:
        UsageError: the folder is missing, or a sidecar in it is damaged.
    """
    if not out.is_dir():
        raise UsageError(
            f"{out.name}: expected a folder that `anomri detect` wrote, found none. "
            "Next: run `anomri detect` first, or check the spelling."
        )
    chunks = render(out, scores or out)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=out, prefix=".", delete=False
    ) as stream:
        stream.writelines(chunks)
    draft = Path(stream.name)
    draft.chmod(0o644)
    return draft.replace(out / PAGE)


def render(out: Path, scores: Path) -> Iterator[str]:
    """Yield the page piece by piece; each picture is read when its scan's turn comes."""
    template = _environment().get_template("page.html.j2")
    return template.generate(
        **contents(out, scores, read_records(out)), embed=lambda case: embed(out, case)
    )


def embed(out: Path, case: Case) -> Embedded | None:
    """Return a scan's picture as part of the page; None where the file is missing."""
    path = derivative(out, case.record.label, PICTURE)
    if not path.is_file():
        return None
    with Picture.open(path) as image:
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "webp", quality=QUALITY)
        data = base64.b64encode(stream.getvalue()).decode("ascii")
        return Embedded(f"data:image/webp;base64,{data}", image.width, image.height)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("anomri.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _asset("page.css"), _asset("page.js")
    environment.globals.update(style=Markup(style), script=Markup(script))  # noqa: S704 - our own
    environment.globals["policy"] = _policy(style, script)
    environment.filters.update(FILTERS)
    return environment


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
