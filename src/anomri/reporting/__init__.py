"""What a person gets to see and keep: images, tables, pictures and one page."""

from anomri.reporting.derivatives.detection import write_detection
from anomri.reporting.derivatives.images import native_images
from anomri.reporting.derivatives.sidecar import (
    Record,
    read_record,
    read_sound_records,
)
from anomri.reporting.derivatives.tables import (
    findings_frame,
    write_failures,
    write_tables,
)
from anomri.reporting.figures.refusal import refusals_shown
from anomri.reporting.figures.scan_figure import picture
from anomri.reporting.formatting import as_number, capitalise, cell, heading, noun, number, sentence
from anomri.reporting.pages.charts import Axis, Chart, Look, Series
from anomri.reporting.pages.html import environment, policy, write_html
from anomri.reporting.pages.niivue import niivue
from anomri.reporting.pages.results_contents import Tile
from anomri.reporting.pages.results_page import write_page
from anomri.reporting.pages.viewer_page import write_view
from anomri.reporting.pages.viewer_volumes import Preview, pack

__all__ = [
    "Axis",
    "Chart",
    "Look",
    "Preview",
    "Record",
    "Series",
    "Tile",
    "as_number",
    "capitalise",
    "cell",
    "environment",
    "findings_frame",
    "heading",
    "native_images",
    "niivue",
    "noun",
    "number",
    "pack",
    "picture",
    "policy",
    "read_record",
    "read_sound_records",
    "refusals_shown",
    "sentence",
    "write_detection",
    "write_failures",
    "write_html",
    "write_page",
    "write_tables",
    "write_view",
]
