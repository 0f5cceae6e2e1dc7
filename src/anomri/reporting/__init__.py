"""What a person gets to see and keep: images, tables, pictures and one page."""

from anomri.reporting.derivatives import write_detection
from anomri.reporting.figures import picture
from anomri.reporting.images import native_images
from anomri.reporting.naming import anat_folder, derivative, refuse_foreign
from anomri.reporting.page import write_page
from anomri.reporting.record import (
    RESEARCH_USE,
    Record,
    read_record,
    read_records,
    read_sound_records,
    write_stamp,
)
from anomri.reporting.refusals import refusals_shown
from anomri.reporting.tables import (
    FAILURES,
    LEFT_OUT,
    NOT_DETECTED,
    NOT_EVALUATED,
    Failure,
    describe,
    write_failures,
    write_run,
    write_tables,
)
from anomri.reporting.viewing import write_view

__all__ = [
    "FAILURES",
    "LEFT_OUT",
    "NOT_DETECTED",
    "NOT_EVALUATED",
    "RESEARCH_USE",
    "Failure",
    "Record",
    "anat_folder",
    "derivative",
    "describe",
    "native_images",
    "picture",
    "read_record",
    "read_records",
    "read_sound_records",
    "refusals_shown",
    "refuse_foreign",
    "write_detection",
    "write_failures",
    "write_page",
    "write_run",
    "write_stamp",
    "write_tables",
    "write_view",
]
