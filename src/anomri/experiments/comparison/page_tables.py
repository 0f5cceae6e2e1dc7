"""Tables of the page, generated from ``scans.tsv``: one line per row of the comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from anomri.experiments.comparison.definition import COMMON, Definition
from anomri.experiments.comparison.findings import aims_of
from anomri.experiments.comparison.formatting import (
    NONE,
    change,
    interval,
    lowest,
    millilitres,
    plain,
)
from anomri.experiments.comparison.measurement import classes
from anomri.experiments.comparison.score_table import Scores
from anomri.experiments.comparison.statistics import (
    lesions_by_volume,
    mean_of,
    median_of,
    paired,
)
from anomri.experiments.reproduction import ENDED, TextTable
from anomri.files import COMPARISON_ROWS, read_tsv

FALSE_ML, FALSE_LESIONS = "false_positive_ml", "false_lesion_count"
ROW_HEADINGS = ("row", "group")

Cells = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Data of the tables.

    Attributes:
        definition: the comparison.
        scores: scores of the scans.
        folder: folder of both.
    """

    definition: Definition
    scores: Scores
    folder: Path

    @property
    def shown(self) -> list[str]:
        """Measured rows that show the whole lesion, in order."""
        hidden = self.definition.regions_only
        rows = [name for name in self.definition.rows if name not in hidden]
        return [name for name in rows if self.scores.measured(name)]

    @property
    def untrained(self) -> list[str]:
        """Rows without measurements."""
        return [name for name in self.definition.rows if not self.scores.measured(name)]

    @property
    def lesion_sets(self) -> list[str]:
        """Sets and pools of scans with lesions, pools before their sets."""
        healthy = {scan_set.name for scan_set in self.definition.test if scan_set.healthy}
        pooled = {name for names in self.definition.pools.values() for name in names}
        separate = [name for name in self.definition.sets if name not in healthy | pooled]
        return [*separate, *(name for name in self.definition.sets if name in pooled)]

    def row_cells(self, row: str) -> Cells:
        """Return the first two cells of a line: name and group of the row."""
        return f"`{row}`", self.definition.rows[row].name

    def title_of(self, name: str) -> str:
        """Return the name of a set or pool with its number of scans."""
        sets = self.definition.sets[name]
        scans = len(self.scores.values(self.definition.baseline, "volume_ml", sets))
        return f"{name}, {scans} scan{'' if scans == 1 else 's'}"


def aims_table(sheet: Sheet) -> TextTable:
    """Return the table of the aims."""
    definition = sheet.definition
    headings = (
        *("aim", "wanted", f"`{definition.candidate}`", f"`{definition.baseline}`"),
        "best network trained without labels, under either decision",
        f"reached by `{definition.candidate}`",
    )
    return TextTable("The aims", headings, tuple(aims_of(definition, sheet.scores)))


def dice_table(sheet: Sheet, name: str) -> TextTable:
    """Return the table of Dice and its paired difference to the baseline, for both decisions."""
    base = sheet.definition.baseline
    headings = (
        *(*ROW_HEADINGS, "scans", "Dice", "lowest", f"minus `{base}`"),
        *(f"Dice, decision of `{base}`", f"minus `{base}`", "AUPRC"),
    )
    rows = (_dice_row(sheet, row, sheet.definition.sets[name]) for row in sheet.shown)
    return TextTable(sheet.title_of(name), headings, tuple(row for row in rows if row))


def _dice_row(sheet: Sheet, row: str, sets: Sequence[str]) -> Cells:
    base = sheet.definition.baseline
    baseline = sheet.scores.values(base, "dice", sets)
    own = sheet.scores.values(row, "dice", sets)
    common = sheet.scores.values(row, "dice", sets, decision=COMMON)
    auprc = sheet.scores.values(row, "auprc", sets)
    if not own:
        return ()
    difference = NONE if row == base else change(paired(own, baseline))
    own_cells = (str(len(own)), interval(mean_of(own)), lowest(own), difference)
    common_cells = (interval(mean_of(common)), change(paired(common, baseline)))
    return (*sheet.row_cells(row), *own_cells, *common_cells, interval(mean_of(auprc)))


def size_table(sheet: Sheet, name: str) -> TextTable:
    """Return the table of detected lesions by volume, and of false positives."""
    named = [text.replace("_", " ") for text in classes(sheet.definition.edges_ml)]
    headings = (*ROW_HEADINGS, *named, "false lesions", "false-positive ml")
    rows = (_size_row(sheet, row, sheet.definition.sets[name]) for row in sheet.shown)
    return TextTable(sheet.title_of(name), headings, tuple(row for row in rows if row))


def _size_row(sheet: Sheet, row: str, sets: Sequence[str]) -> Cells:
    counts = lesions_by_volume(sheet.scores, row, sets, sheet.definition.edges_ml)
    false = [mean_of(sheet.scores.values(row, m, sets)) for m in (FALSE_LESIONS, FALSE_ML)]
    if None in false:
        return ()
    shares = (f"{found} of {true} ({found / true:.0%})" if true else NONE for true, found in counts)
    return (*sheet.row_cells(row), *shares, *(plain(mean) for mean in false))


def region_tables(sheet: Sheet) -> Iterator[TextTable]:
    """Yield a table of core and enhancing tumour for every set whose reference has them."""
    base, regions = sheet.definition.regions_baseline, ("core", "enhancing")
    titles = [f"{text} {part}" for part in regions for text in ("Dice,", f"minus `{base}`,")]
    for data in (scan_set.name for scan_set in sheet.definition.test if scan_set.regions):
        rows = []
        for row in sheet.definition.rows:
            cells = [cell for part in regions for cell in _region(sheet, row, data, part)]
            rows += [(*sheet.row_cells(row), *cells)] if set(cells) != {NONE} else []
        yield TextTable(sheet.title_of(data), (*ROW_HEADINGS, *titles), tuple(rows))


def _region(sheet: Sheet, row: str, data: str, region: str) -> Cells:
    base = sheet.definition.regions_baseline
    own = sheet.scores.values(row, "dice", [data], region=region)
    baseline = sheet.scores.values(base, "dice", [data], region=region)
    return interval(mean_of(own)), NONE if row == base else change(paired(own, baseline))


def healthy_tables(sheet: Sheet) -> Iterator[TextTable]:
    """Yield the tables of scans without a tumour."""
    headings = (
        *(*ROW_HEADINGS, "scans", "median ml outside the reference", "largest"),
        *("false lesions per scan", "Dice of the reference's lesions"),
        f"median ml outside, decision of `{sheet.definition.baseline}`",
    )
    for data in (scan_set.name for scan_set in sheet.definition.test if scan_set.healthy):
        rows = [_healthy_row(sheet, row, data) for row in sheet.shown]
        yield TextTable(data, headings, tuple(row for row in rows if row))


def _healthy_row(sheet: Sheet, row: str, data: str) -> Cells:
    outside, false, dice = (
        sheet.scores.values(row, metric, [data]) for metric in (FALSE_ML, FALSE_LESIONS, "dice")
    )
    common = sheet.scores.values(row, FALSE_ML, [data], decision=COMMON)
    if not outside:
        return ()
    volumes = (millilitres(median_of(outside)), f"{max(outside.values()):.1f}")
    rest = (plain(mean_of(false)), interval(mean_of(dice)), millilitres(median_of(common)))
    return (*sheet.row_cells(row), str(len(outside)), *volumes, *rest)


def training_table(sheet: Sheet) -> TextTable:
    """Return the table of the networks' trainings."""
    headings = ("row", "size", "epochs", "best epoch", "ended", "seed", "weights")
    facts = {line["row"]: line for line in read_tsv(sheet.folder / COMPARISON_ROWS)}
    rows = [
        (
            *(f"`{row}`", line["size"], line["epochs"], line["best_epoch"]),
            *(ENDED.get(line["ended"], NONE), line["seed"], line["weights_sha256"]),
        )
        for row, group in sheet.definition.rows.items()
        if group.paper and (line := facts.get(row))
    ]
    return TextTable("How each training ended", headings, tuple(rows))
