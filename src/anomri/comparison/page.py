"""The section of the page that is made from the tables: what came out, in words and in tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from anomri.comparison.definition import COMMON, Definition
from anomri.comparison.figures import write_figures
from anomri.comparison.measuring import classes
from anomri.comparison.sentences import aims_of, sentences_of
from anomri.comparison.statistics import FEWEST, Paired, found_of, mean_of, median_of, paired
from anomri.comparison.table import ROWS, Scores, Values
from anomri.comparison.words import NONE, change, interval, lowest
from anomri.evaluation import Interval
from anomri.reproduction import TextTable, put_between_markers
from anomri.tsv import read_tsv

PAGE = "README.md"
BEGIN = "<!-- Made by `anomri compare` from the TSV files; changes here are lost. -->"
ENDED = {"patience": "no better for the recipe's patience", "limit": "at the limit of epochs"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the tables are made from.

    Attributes:
        definition: of the comparison.
        scores: of the scans.
        folder: that holds both.
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
        """Rows that are not measured."""
        return [name for name in self.definition.rows if not self.scores.measured(name)]

    def begins(self, row: str) -> tuple[str, str]:
        """Return the first two cells of a row: its name and its group."""
        return f"`{row}`", self.definition.rows[row].name


def tables_of(folder: Path, definition: Definition) -> list[TextTable]:
    """Return every table of the page, in order."""
    sheet = Sheet(definition, Scores.of(folder), folder)
    return [
        aims_table(sheet),
        *(dice_table(sheet, name) for name in _judged(definition)),
        *(size_table(sheet, name) for name in _judged(definition)),
        *region_tables(sheet),
        *healthy_tables(sheet),
        training_table(sheet),
    ]


def write_page(folder: Path, definition: Definition) -> Path:
    """Write the table of figures, and the section into the page in the place of the former one."""
    write_figures(folder, definition)
    path = folder / PAGE
    put_between_markers(path, section(folder, definition), title=definition.title, begin=BEGIN)
    return path


def section(folder: Path, definition: Definition) -> str:
    """Return what stands between the markers."""
    sheet = Sheet(definition, Scores.of(folder), folder)
    return "\n\n".join(part for part in _parts(sheet) if part)


def _parts(sheet: Sheet) -> Iterator[str]:
    definition = sheet.definition
    judged = _judged(definition)
    yield _command(sheet)
    yield "## What came out"
    yield _listed(sentences_of(definition, sheet.scores)) or "Nothing is measured yet."
    yield _not_there(sheet)
    yield aims_table(sheet).markdown().replace("### ", "## ", 1)
    yield "## Dice of every set"
    yield _explained(definition)
    yield from (dice_table(sheet, name).markdown() for name in judged)
    yield "## Lesions by volume"
    yield (
        "Lesions found of those in the reference, all scans together, and what was marked beside "
        "them per scan: components that touch no lesion, and ml outside the reference."
    )
    yield from (size_table(sheet, name).markdown() for name in judged)
    yield "## Core and enhancing tumour"
    yield from (table.markdown() for table in region_tables(sheet))
    yield "## Scans without a tumour"
    yield from (table.markdown() for table in healthy_tables(sheet))
    yield "## The rows"
    yield definition.rule
    yield _listed(f"**{group.name}**: {group.about}" for group in definition.groups)
    yield training_table(sheet).markdown()
    yield "## What a reader must know"
    yield _listed([*(f"`{one.name}`: {one.about}." for one in definition.test), *definition.notes])


def dice_table(sheet: Sheet, name: str) -> TextTable:
    """Return Dice and its paired difference to the baseline, under both decisions."""
    definition, sets = sheet.definition, sheet.definition.sets[name]
    bar = sheet.scores.values(definition.baseline, "dice", sets)
    headings = (
        *("row", "group", "scans", "Dice", "lowest"),
        f"minus `{definition.baseline}`",
        f"Dice, decision of `{definition.baseline}`",
        f"minus `{definition.baseline}`",
    )
    rows = []
    for row in sheet.shown:
        own = sheet.scores.values(row, "dice", sets)
        common = sheet.scores.values(row, "dice", sets, decision=COMMON)
        if own:
            judged = (interval(mean_of(own)), lowest(own), change(_against(row, own, bar, sheet)))
            same = (interval(mean_of(common)), change(paired(common, bar)))
            rows.append((*sheet.begins(row), str(len(own)), *judged, *same))
    return TextTable(_title(name, len(bar)), headings, tuple(rows))


def size_table(sheet: Sheet, name: str) -> TextTable:
    """Return the share of lesions found by volume, and what was marked beside them."""
    definition, sets = sheet.definition, sheet.definition.sets[name]
    named = [text.replace("_", " ") for text in classes(definition.edges_ml)]
    beside = ("false lesions", "false-positive ml")
    rows = []
    for row in sheet.shown:
        counts = found_of(sheet.scores, row, sets, definition.edges_ml)
        false = [sheet.scores.values(row, m, sets) for m in ("false_lesion_count", FALSE_ML)]
        if false[0]:
            shares = [f"{f} of {t} ({f / t:.0%})" if t else NONE for t, f in counts]
            means = [f"{mean.estimate:.1f}" for one in false if (mean := mean_of(one))]
            rows.append((*sheet.begins(row), *shares, *means))
    bar = sheet.scores.values(definition.baseline, "dice", sets)
    return TextTable(_title(name, len(bar)), ("row", "group", *named, *beside), tuple(rows))


FALSE_ML = "false_positive_ml"


def region_tables(sheet: Sheet) -> Iterator[TextTable]:
    """Yield Dice of core and enhancing tumour for every set whose reference has them."""
    definition = sheet.definition
    base = definition.regions_baseline
    regions = ("core", "enhancing")
    headings = [f"{text} {part}" for part in regions for text in ("Dice,", f"minus `{base}`,")]
    for one in (one for one in definition.test if one.regions):
        rows = []
        for row in definition.rows:
            values = [sheet.scores.values(row, "dice", [one.name], region=r) for r in regions]
            bars = [sheet.scores.values(base, "dice", [one.name], region=r) for r in regions]
            cells = [
                cell
                for own, bar in zip(values, bars, strict=True)
                for cell in (
                    interval(mean_of(own)),
                    NONE if row == base else change(paired(own, bar)),
                )
            ]
            if any(values):
                rows.append((*sheet.begins(row), *cells))
        bar = sheet.scores.values(base, "dice", [one.name], region=regions[0])
        yield TextTable(_title(one.name, len(bar)), ("row", "group", *headings), tuple(rows))


def healthy_tables(sheet: Sheet) -> Iterator[TextTable]:
    """Yield what is marked in scans without a tumour."""
    headings = ("row", "group", "scans", "median ml outside the reference", "largest")
    more = ("false lesions per scan", "Dice of the reference's lesions")
    for one in (one for one in sheet.definition.test if one.healthy):
        rows = []
        for row in sheet.shown:
            outside, false, agreed = (
                sheet.scores.values(row, metric, [one.name])
                for metric in (FALSE_ML, "false_lesion_count", "dice")
            )
            if outside:
                median, count = median_of(outside), mean_of(false)
                cells = (str(len(outside)), _ml(median), f"{max(outside.values()):.1f}")
                false_lesions = f"{count.estimate:.1f}" if count else NONE
                rows.append((*sheet.begins(row), *cells, false_lesions, interval(mean_of(agreed))))
        yield TextTable(one.name, (*headings, *more), tuple(rows))


def aims_table(sheet: Sheet) -> TextTable:
    """Return every aim beside what was reached."""
    definition = sheet.definition
    headings = (
        *("aim", "wanted", f"`{definition.candidate}`", f"`{definition.baseline}`"),
        "best network taught without labels, under either decision",
        f"reached by `{definition.candidate}`",
    )
    return TextTable("The aims", headings, tuple(aims_of(definition, sheet.scores)))


def training_table(sheet: Sheet) -> TextTable:
    """Return how each network was trained."""
    headings = ("row", "size", "epochs", "best epoch", "ended", "seed", "weights")
    facts = {line["row"]: line for line in read_tsv(sheet.folder / ROWS)}
    rows = [
        (
            *(f"`{row}`", line["size"], line["epochs"], line["best_epoch"]),
            *(ENDED.get(line["ended"], NONE), line["seed"], line["weights_sha256"]),
        )
        for row in sheet.definition.rows
        if (line := facts.get(row)) and sheet.definition.rows[row].paper
    ]
    return TextTable("How each training ended", headings, tuple(rows))


def _judged(definition: Definition) -> list[str]:
    """Name the sets and pools whose lesions are the question, pools before their sets."""
    healthy = {one.name for one in definition.test if one.healthy}
    pooled = {name for names in definition.pools.values() for name in names}
    alone = [name for name in definition.sets if name not in healthy | pooled]
    return [*alone, *(name for name in definition.sets if name in pooled)]


def _against(row: str, own: Values, bar: Values, sheet: Sheet) -> Paired | None:
    return None if row == sheet.definition.baseline else paired(own, bar)


def _ml(median: Interval | None) -> str:
    if median is None:
        return NONE
    known = not isnan(median.lower)
    span = f" ({median.lower:.1f} to {median.upper:.1f})" if known else ""
    return f"{median.estimate:.1f}{span}"


def _title(name: str, scans: int) -> str:
    return f"{name}, {scans} scan{'' if scans == 1 else 's'}"


def _explained(definition: Definition) -> str:
    return (
        "Volume Dice on each scan's own grid: mean over scans with its bootstrap 95 % interval "
        f"(scans are drawn). *minus `{definition.baseline}`* is the mean of the differences over "
        "the scans that both rows have, with the interval of that mean; bold where zero lies "
        f"outside and at least {FEWEST} scans are compared: fewer agree by chance too often. The "
        "last two columns put the signed residual of each network through the "
        f"cleaning, threshold and growing of `{definition.baseline}` in place of its paper's own "
        "decision: what is left of a difference there is the network's."
    )


def _command(sheet: Sheet) -> str:
    return (
        "One command makes every figure below again; a second call measures only what has "
        "changed:\n\n"
        f"```\nanomri compare recipes/{sheet.folder.name} --data DATA -o work/\n```\n\n"
        "`DATA` holds the data sets and `splits.tsv` (columns `subject` and `split`). Networks "
        "that `anomri reproduce` has trained below `work/`, or below the folder given with "
        "`--runs`, are taken as they are; the others are trained. `scans.tsv` has every measure "
        "of every scan."
    )


def _not_there(sheet: Sheet) -> str:
    failed = [
        f"`{row}` on {subject} of `{data}`: {reason}."
        for row, data, subject, reason in sheet.scores.failures()
    ]
    untrained = ", ".join(f"`{name}`" for name in sheet.untrained)
    said = [f"Not trained yet, and so not measured: {untrained}."] if untrained else []
    return _listed([*said, *failed])


def _listed(sentences: Iterator[str] | list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
