"""Page of a comparison: findings, then tables.

The section between two markers is generated from the tables and the definition alone; the text
around it is not changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from anomri.experiments.comparison.definition import Definition
from anomri.experiments.comparison.figures_table import write_figures
from anomri.experiments.comparison.findings import findings_of
from anomri.experiments.comparison.page_tables import (
    Sheet,
    aims_table,
    dice_table,
    healthy_tables,
    region_tables,
    size_table,
    training_table,
)
from anomri.experiments.comparison.score_table import Scores
from anomri.experiments.comparison.statistics import FEWEST
from anomri.experiments.reproduction import put_between_markers
from anomri.files import README

BEGIN = "<!-- Made by `anomri compare` from the TSV files; changes here are lost. -->"


def write_page(folder: Path, definition: Definition) -> Path:
    """Write the table of figures, and replace the generated section of the page."""
    write_figures(folder, definition)
    path = folder / README
    put_between_markers(path, section(folder, definition), title=definition.title, begin=BEGIN)
    return path


def section(folder: Path, definition: Definition) -> str:
    """Return the text between the markers."""
    sheet = Sheet(definition, Scores.of(folder), folder)
    return "\n\n".join(part for part in _parts(sheet) if part)


def _parts(sheet: Sheet) -> Iterator[str]:
    definition = sheet.definition
    yield _command(sheet)
    yield "## Results"
    yield _bullets(findings_of(definition, sheet.scores)) or "Nothing is measured yet."
    yield _missing(sheet)
    yield aims_table(sheet).markdown().removeprefix("#")
    yield "## Dice of every set"
    yield _explanation(definition)
    yield from (dice_table(sheet, name).markdown() for name in sheet.lesion_sets)
    yield "## Lesions by volume"
    yield (
        "Lesions found of those in the reference, all scans together, and what was marked beside "
        "them per scan: components that touch no lesion, and ml outside the reference."
    )
    yield from (size_table(sheet, name).markdown() for name in sheet.lesion_sets)
    yield "## Core and enhancing tumour"
    yield from (table.markdown() for table in region_tables(sheet))
    yield "## Scans without a tumour"
    yield from (table.markdown() for table in healthy_tables(sheet))
    yield "## The rows"
    yield definition.rule
    yield _bullets(f"**{group.name}**: {group.about}" for group in definition.groups)
    yield training_table(sheet).markdown()
    yield "## What a reader must know"
    about = (f"`{scan_set.name}`: {scan_set.about}." for scan_set in definition.test)
    yield _bullets([*about, *definition.notes])


def _command(sheet: Sheet) -> str:
    return (
        "One command reproduces every figure below; run again, it measures only what has "
        "changed:\n\n"
        f"```\nanomri compare recipes/{sheet.folder.name} --data DATA -o work/\n```\n\n"
        "`DATA` holds the data sets and `splits.tsv` (columns `subject` and `split`). Networks "
        "that `anomri reproduce` has trained below `work/`, or below the folder given with "
        "`--runs`, are taken as they are; the others are trained. After a change in the program, "
        "`--again` measures the rest, too. `scans.tsv` has every measure "
        "of every scan."
    )


def _explanation(definition: Definition) -> str:
    return (
        "Volume Dice on each scan's own grid: mean over scans with its bootstrap 95 % interval "
        f"(scans are drawn). *minus `{definition.baseline}`* is the mean of the differences over "
        "the scans that both rows have, with the interval of that mean; bold where zero lies "
        f"outside and at least {FEWEST} scans are compared: fewer agree by chance too often. The "
        "columns after it put the signed residual of each network through the cleaning, threshold "
        f"and growing of `{definition.baseline}` in place of its own decision: what is left of a "
        "difference there is the network's. AUPRC is the area under the curve of precision and "
        "recall of the row's own cleaned map, before any threshold."
    )


def _missing(sheet: Sheet) -> str:
    failed = [
        f"`{row}` on {subject} of `{data}`: {reason}."
        for row, data, subject, reason in sheet.scores.failures()
    ]
    untrained = ", ".join(f"`{name}`" for name in sheet.untrained)
    not_measured = [f"Not measured yet: {untrained}."] if untrained else []
    return _bullets([*not_measured, *failed])


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
