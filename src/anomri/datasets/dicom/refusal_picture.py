"""What a PACS shows where there is no result: a picture of the reason, in the study of the source.

A secondary capture, because every viewer shows pictures, and few show reports.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from anomri.datasets.dicom.result_objects import secondary_capture, with_notice
from anomri.datasets.dicom.segmentation import (
    fill_identity,
    identification,
    read_image,
    readable_headers,
    require_highdicom,
)

SERIES_NUMBER = 9004
REFUSAL = "refusal"
WIDTH, MARGIN = 900, 30  # pixels
HEADING_PIXELS, TEXT_PIXELS, LINE = 28, 20, 1.4
CHARACTERS = 84  # in a line of text
MAX_LINES = 24
HEADING = "anomri: no result for this study"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no result.

    Attributes:
        reason: what was expected and what was found; without tags of the patient.
        next_step: what can be done.
        notice: the words that go with every result.
        identity: what decides the refusal; the same makes the same object.
        picture: PNG of what a quality check objected to; empty where there is none.
    """

    reason: str
    next_step: str
    notice: str
    identity: str
    picture: bytes = b""


def write_refusal_picture(refusal: Refusal, source: Path, path: Path) -> None:
    """Write a refusal as DICOM secondary capture.

    Args:
        refusal: the reason.
        source: an image of the study; patient and study are taken from it.
        path: of the file to write.

    Raises:
        MissingPiece: highdicom is not installed.
        UnreadableScan: the source cannot be read, or lacks what an object needs.
    """
    require_highdicom()
    sources = [read_image(source)]
    fill_identity(sources)
    with readable_headers():
        capture = secondary_capture(
            with_notice(_page(refusal), refusal.notice),
            sources,
            series_number=SERIES_NUMBER,
            series_description="No result, research only",
            **identification(sources, REFUSAL, refusal.identity),
        )
        capture.BodyPartExamined = "BRAIN"  # or a laterality would have to be there
    capture.save_as(path)


def _page(refusal: Refusal) -> bytes:
    """Draw heading, picture, reason and next step, as PNG."""
    lines = [
        *_wrapped(refusal.reason[:1].upper() + refusal.reason[1:]),
        "",
        *_wrapped(f"Next: {refusal.next_step}"),
    ]
    picture = _scaled(refusal.picture)
    top = MARGIN + round(HEADING_PIXELS * LINE) + MARGIN
    height = top + (picture.height + MARGIN if picture else 0)
    page = Image.new(
        "RGB", (WIDTH, height + round(len(lines) * TEXT_PIXELS * LINE) + MARGIN), "black"
    )
    drawn = ImageDraw.Draw(page)
    heading = ImageFont.load_default(HEADING_PIXELS)
    drawn.text((MARGIN, MARGIN), HEADING, fill="#ffb347", font=heading)
    if picture:
        page.paste(picture, (MARGIN, top))
    font = ImageFont.load_default(TEXT_PIXELS)
    for number, line in enumerate(lines):
        place = MARGIN, height + round(number * TEXT_PIXELS * LINE)
        drawn.text(place, line, fill="white", font=font)
    stream = io.BytesIO()
    page.save(stream, "png")
    return stream.getvalue()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, CHARACTERS, max_lines=MAX_LINES, placeholder=" ...")


def _scaled(picture: bytes) -> Image.Image | None:
    if not picture:
        return None
    image = Image.open(io.BytesIO(picture), formats=["PNG"]).convert("RGB")
    width = WIDTH - 2 * MARGIN
    return image.resize((width, round(image.height * width / image.width)))
