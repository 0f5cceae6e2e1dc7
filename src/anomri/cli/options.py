"""Arguments and options that several commands share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anomri import batch, pipeline
from anomri.datasets import LAYOUTS
from anomri.errors import UsageError
from anomri.recipe import Recipe

Source = Annotated[Path, typer.Argument(help="A scan, a folder of scans or a data set.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")]
OutOrNone = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder to write to; needless with --dry-run.")
]
Layout = Annotated[str, typer.Option(help=f"auto, {', '.join(LAYOUTS)}.")]
Subjects = Annotated[str, typer.Option("--subjects", help="Only these, separated by commas.")]
SplitFile = Annotated[
    Path | None, typer.Option(help="TSV with columns subject and split.", exists=True)
]
Split = Annotated[str, typer.Option(help="Of --split-file: train to prepare, test to detect.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be used, then stop.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Run folder, or a built-in name.")]
Contrasts = Annotated[str, typer.Option(help="In place of the recipe's, separated by commas.")]

Brain = Annotated[
    str,
    typer.Option(help="Where the brain mask comes from: auto, given, deepbet, hdbet or stripped."),
]

Orientation = Annotated[
    str,
    typer.Option(
        help="Where the axes of files point whose headers do not say so, such as RAS or LPS."
    ),
]

MaskGrid = Annotated[
    str,
    typer.Option(
        help="Where a mask with the scan's shape and another affine lies: auto refuses it; "
        "header, as its header says; scan, on the voxels of the scan."
    ),
]

Workers = Annotated[int, typer.Option(help="Processes that share the scans.", min=1)]
Shard = Annotated[
    str, typer.Option(metavar="I/N", help="Of the scans only the I-th of N parts, for job arrays.")
]
Engine = Annotated[str, typer.Option(help=" or ".join(batch.ENGINES) + ".")]
Scheduler = Annotated[str, typer.Option(help="Address of Dask's scheduler.")]
ParticipantLabel = Annotated[
    list[str] | None,
    typer.Option(
        "--participant-label", help="Only this participant, with or without sub-; repeatable."
    ),
]
SeriesChoice = Annotated[
    list[str] | None,
    typer.Option(
        "--series",
        metavar="CONTRAST=WHICH",
        help="Number or description of a DICOM series; once per contrast.",
    ),
]


def choices(series: list[str] | None) -> dict[str, str]:
    """Read ``contrast=series`` pairs.

    Raises:
        UsageError: one has no ``=``.
    """
    pairs = [text.partition("=") for text in series or []]
    for contrast, equals, which in pairs:
        if not (contrast and equals and which):
            raise UsageError(
                f"series '{contrast}{equals}{which}': expected a contrast and a series, "
                "such as flair=5"
            )
    return {contrast.strip(): which for contrast, _, which in pairs}


def executor_of(workers: int, engine: str, scheduler: str) -> batch.Executor:
    """Return who does the batch; the address of a scheduler alone means Dask."""
    return batch.Executor(workers, "dask" if scheduler else engine, scheduler)


def needed(out: Path | None, source: Path) -> Path:
    """Return the folder to write to.

    Raises:
        UsageError: none was given, or it is the one that the scans are in.
    """
    if out is None:
        raise UsageError("expected a folder to write to. Next: give it with -o, or say --dry-run.")
    if out.is_dir() and out.samefile(source):
        raise UsageError(
            f"{out.resolve().name}: expected a folder to write to, got the scans' own, where "
            f"results would be taken for scans. Next: write to a folder in it, -o {out / 'anomri'}."
        )
    return out


def words(text: str) -> frozenset[str]:
    """Split a list that was typed with commas."""
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def chosen_subjects(
    subjects: str,
    split_file: Path | None,
    split: str,
    labels: list[str] | None = None,
    *,
    usual: str,
) -> pipeline.Selection | None:
    """Return the subjects of a split, of a list, or of labels; None where all are meant.

    Args:
        subjects: names, separated by commas.
        split_file: see :meth:`pipeline.Selection.of_split`.
        split: of that file; ``usual`` where none is named.
        labels: of BIDS participants.
        usual: the split that the command is for.

    Raises:
        UsageError: a split of no file.
    """
    if split and split_file is None:
        raise UsageError(f"--split {split}: of which file? Next: add --split-file.")
    if split_file is not None:
        return pipeline.Selection.of_split(split_file, split or usual)
    if labels:
        return pipeline.Selection.of_labels([*labels, *words(subjects)])
    return pipeline.Selection(words(subjects)) if subjects else None


def with_contrasts(recipe: Recipe, contrasts: str) -> Recipe:
    """Give a recipe other contrasts, where some are named."""
    names = tuple(name.strip() for name in contrasts.split(",") if name.strip())
    return recipe.model_copy(update={"contrasts": names}) if names else recipe
