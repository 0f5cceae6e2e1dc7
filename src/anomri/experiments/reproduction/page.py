"""Published and measured figures as text tables, and as a section of the paper's README.

The section between two markers is generated from ``published.tsv``, ``measured.tsv`` and
``protocol.yaml`` alone; the text around it is not changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from anomri.experiments.reproduction.figures import Figures, order_of
from anomri.experiments.reproduction.protocol import Protocol, Table
from anomri.experiments.reproduction.rows import BASELINE
from anomri.experiments.reproduction.training import ENDED
from anomri.files import README, write_text

BEGIN = "<!-- Made by `anomri reproduce` from the TSV files; changes here are lost. -->"
END = "<!-- End of what is made. -->"
NONE = "–"


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table as text.

    Attributes:
        title: title of the table.
        headings: headings of the columns.
        rows: cells of each row, as many as headings.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table with its title as Markdown."""
        lines = [self.headings, ("---",) * len(self.headings), *self.rows]
        ruled = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"### {self.title}\n\n{ruled}" if self.rows else f"### {self.title}\n\nNo row yet."


def tables_of(folder: Path, protocol: Protocol) -> list[TextTable]:
    """Return the tables of published and measured figures, and of the trainings' ends."""
    figures = Figures.of(folder)
    tables = [_compared(table, figures) for table in protocol.tables]
    return [*tables, _endings(figures)]


def write_page(folder: Path, protocol: Protocol) -> Path:
    """Replace the generated section of the paper's README, or append it."""
    path = folder / README
    put_between_markers(path, section(folder, protocol), title=protocol.paper)
    return path


def put_between_markers(path: Path, content: str, *, title: str, begin: str = BEGIN) -> None:
    """Replace the generated section of a page, or append it."""
    text = path.read_text(encoding="utf-8") if path.is_file() else f"# {title}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(END)
    content = f"{begin}\n\n{content}\n\n{END}"
    write_text(path, f"{before.rstrip()}\n\n{content}\n{_separated(after)}")


def section(folder: Path, protocol: Protocol) -> str:
    """Return the text between the markers."""
    figures = Figures.of(folder)
    parts = [
        "## Published and measured",
        _command(folder, protocol, figures),
        *(table.markdown() for table in tables_of(folder, protocol)),
        "### Is the paper's order of models reproduced?",
        "\n".join(f"- {sentence}" for sentence in order_of(protocol, figures)) or "Not measured.",
        "### Sizes",
        "\n".join(f"- `{name}`: {size.about}" for name, size in protocol.sizes.items()),
        "### What differs from the paper's protocol",
        "\n".join(f"- {difference}" for difference in protocol.differences),
    ]
    return "\n\n".join(parts)


def _command(folder: Path, protocol: Protocol, figures: Figures) -> str:
    """Describe the commands of all sizes with trained rows, or of all sizes without any."""
    measured = {line["size"] for line in figures.measured if line["row"] != BASELINE}
    sizes = [name for name in protocol.sizes if name in measured] or list(protocol.sizes)
    command = f"anomri reproduce recipes/{folder.name} --data DATA -o work/"
    lines = "\n".join(f"{command} --size {name}" for name in sizes)
    return (
        "One command reproduces the rows of a size; run again, it continues where it was\n"
        f"stopped:\n\n```\n{lines}\n```\n\n"
        "`DATA` holds the data sets and `splits.tsv` (columns `subject` and `split`).\n"
        "Ours: mean over scans with its bootstrap 95 % interval, or ± standard deviation over\n"
        "scans where the paper gives that. `measured.tsv` has every other measure, and\n"
        "the data on which each threshold was chosen."
    )


def _compared(table: Table, figures: Figures) -> TextTable:
    """Return a table with two columns per figure, the paper's and ours."""
    headings = ["row", "size"]
    for column in table.columns:
        headings += [f"{column.title}, paper"] if column.quantity else []
        headings += [f"{column.title}, ours"]
    rows = [_row(name, size, table, figures) for name, size in figures.rows_of(table)]
    return TextTable(table.title, tuple(headings), tuple(row for row in rows if row))


def _row(name: str, size: str, table: Table, figures: Figures) -> tuple[str, ...]:
    cells = [f"`{name}`", size or NONE]
    for column in table.columns:
        cells += [figures.published_cell(name, column) or NONE] if column.quantity else []
        cells += [figures.measured_cell(name, size, column) or NONE]
    return tuple(cells) if any(cell != NONE for cell in cells[2:]) else ()


def _endings(figures: Figures) -> TextTable:
    headings = ("row", "size", "epochs", "best epoch", "ended", "seed", "commit")
    return TextTable("How each training ended", headings, tuple(_ending_rows(figures)))


def _ending_rows(figures: Figures) -> Iterable[tuple[str, ...]]:
    for line in figures.trained():
        ended = ENDED.get(line["ended"], "not kept")
        cells = (line["epochs"], line["best_epoch"], ended, line["seed"], line["commit"])
        yield (f"`{line['row']}`", line["size"], *cells)


def _separated(after: str) -> str:
    rest = after.strip("\n")
    return f"\n{rest}\n" if rest else ""


def made_section(text: str, begin: str = BEGIN) -> str:
    """Return the text between the markers of a README."""
    _, _, rest = text.partition(begin)
    return rest.partition(END)[0].strip("\n")
