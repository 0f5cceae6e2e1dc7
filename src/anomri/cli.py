"""What a user types. One command is one call of :mod:`anomri.pipeline`; nothing is decided here."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from anomri import catalogue, pipeline, reproduction
from anomri.datasets import LAYOUTS, Found
from anomri.errors import AnomriError, UsageError
from anomri.recipe import Recipe, builtin_names

NOTICE = "For research only; not a medical device."

app = typer.Typer(
    name="anomri",
    help=f"Finds what does not look healthy in a brain MRI. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)

Source = Annotated[Path, typer.Argument(help="A scan, a folder of scans or a data set.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")]
Layout = Annotated[str, typer.Option(help=f"auto, {', '.join(LAYOUTS)}.")]
Subjects = Annotated[str, typer.Option("--subjects", help="Only these, separated by commas.")]
SplitFile = Annotated[
    Path | None, typer.Option(help="TSV with columns subject and split.", exists=True)
]
Split = Annotated[str, typer.Option(help="Which split of --split-file.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be used, then stop.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Run folder, or a built-in name.")]
Contrasts = Annotated[str, typer.Option(help="In place of the recipe's, separated by commas.")]


@app.callback(invoke_without_command=True)
def start(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    """Set up what every command shares."""
    level = logging.DEBUG if verbose else logging.WARNING
    handler = RichHandler(console=console, show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("anomri").setLevel(level)
    if show_version:
        typer.echo(version("anomri"))
        raise typer.Exit


@app.command()
def prepare(
    source: Source,
    out: Out,
    recipe: Annotated[str, typer.Option(help="Whose preparation: a file or a name.")] = "intensity",
    contrasts: Contrasts = "",
    layout: Layout = "auto",
    subjects: Subjects = "",
    split_file: SplitFile = None,
    split: Split = "train",
    dry_run: DryRun = False,
) -> None:
    """Read, orient, crop, resample and scale scans into a folder that training reads from."""
    found = pipeline.survey(
        source, layout=layout, selection=_selection(subjects, split_file, split)
    )
    _show(found)
    if not dry_run:
        chosen = _with_contrasts(Recipe.load(recipe), contrasts)
        _finish(pipeline.prepare(found, out, recipe=chosen, track=_track), out)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file.")],
    data: Annotated[Path, typer.Option(help="Folder written by `anomri prepare`.")],
    out: Out,
    contrasts: Contrasts = "",
    device: Device = "auto",
    processes: Annotated[
        int, typer.Option(help="Processes that train together, each with a device of its own.")
    ] = 1,
    workers: Annotated[int, typer.Option(help="Processes that read images.")] = 0,
    max_steps: Annotated[int | None, typer.Option(help="Stop after so many steps.")] = None,
) -> None:
    """Train a model on prepared scans, healthy or labelled; resumes where it was stopped."""
    chosen = _with_contrasts(Recipe.load(recipe), contrasts)
    run = pipeline.train(
        chosen,
        data,
        out,
        device=device,
        processes=processes,
        workers=workers,
        max_steps=max_steps,
        progress=True,
    )
    typer.echo(run)


@app.command()
def calibrate(
    model: Annotated[str, typer.Argument(help="Run folder, or a built-in name.")],
    data: Annotated[Path, typer.Option(help="Folder written by `anomri prepare`.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder to write.")] = None,
    false_positive_ml: Annotated[
        float, typer.Option(help="False-positive volume allowed per healthy scan, in ml.")
    ] = 5.0,
    device: Device = "auto",
) -> None:
    """Fit thresholds on scans that the model has not been judged on."""
    if out is None and not Path(model).is_dir():
        raise UsageError(f"{model}: built-in models are read-only. Next: give a folder with -o.")
    fitted = pipeline.calibrate(
        model,
        data,
        out or Path(model),
        false_positive_ml=false_positive_ml,
        device=device,
        track=_track,
    )
    table = Table("rule", "value", "fitted on, scans", "expected false positives, ml")
    for threshold in fitted.values():
        expected = threshold.false_positive_ml
        table.add_row(
            threshold.rule,
            f"{threshold.value:.4g}",
            str(len(threshold.fitted_on)),
            "not known" if expected is None else f"{expected:.2f}",
        )
    Console().print(table)


@app.command()
def detect(
    source: Source,
    out: Out,
    model: Model = "intensity",
    layout: Layout = "auto",
    subjects: Subjects = "",
    split_file: SplitFile = None,
    split: Split = "test",
    brain_mask: Annotated[
        Path | None, typer.Option(help="Brain mask of a single scan.", exists=True)
    ] = None,
    threshold: Annotated[str, typer.Option(help="Another threshold rule, by name.")] = "",
    decide: Annotated[str, typer.Option(help="Another decision, by name.")] = "",
    device: Device = "auto",
    dry_run: DryRun = False,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Find what does not look healthy: maps, masks, tables and a page."""
    found = pipeline.survey(
        source, layout=layout, selection=_selection(subjects, split_file, split)
    )
    _show(found)
    if dry_run:
        return
    if brain_mask is not None:
        found = pipeline.with_brain_mask(found, brain_mask)
    detector = pipeline.load_detector(model, device=device, threshold=threshold, decide=decide)
    outcome = pipeline.detect(found, detector, out, track=_track, command=["anomri", *sys.argv[1:]])
    if report:
        typer.echo(pipeline.report(out))
    _finish(outcome, out)


@app.command()
def evaluate(
    detections: Annotated[Path, typer.Argument(help="Folder written by `anomri detect`.")],
    truth: Annotated[Path, typer.Option(help="Data set with expert masks.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the tables.")] = None,
    layout: Layout = "auto",
    region: Annotated[str, typer.Option(help="whole, core or enhancing.")] = "whole",
) -> None:
    """Measure detections against expert masks, on the scans' own grid."""
    found = pipeline.survey(truth, layout=layout)
    summary, outcome = pipeline.evaluate(
        detections, found, out or detections, region=region, track=_track
    )
    table = Table("measure", "mean", "95 % interval", "median", "scans", "undefined")
    for row in summary:
        interval = f"{row['lower']:.3f} to {row['upper']:.3f}"
        mean, median = f"{row['mean']:.3f}", f"{row['median']:.3f}"
        table.add_row(row["metric"], mean, interval, median, str(row["n"]), str(row["undefined"]))
    Console().print(table)
    _finish(outcome, out or detections)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Detections, evaluation, run or paper.")],
    scores: Annotated[
        Path | None, typer.Option(help="Folder of the evaluation, where it is another.")
    ] = None,
) -> None:
    """Write one HTML page that shows everything in a folder that anomri wrote."""
    typer.echo(pipeline.report(folder, scores=scores))


@app.command()
def view(
    scan: Annotated[Path, typer.Argument(help="One scan: a file or its folder.", exists=True)],
    result: Annotated[
        Path | None, typer.Argument(help="Folder written by `anomri detect`.", exists=True)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file to write.")] = None,
) -> None:
    """Write a page with an interactive viewer of one scan and of what was found in it."""
    typer.echo(pipeline.view(scan, result=result, out=out))


@app.command()
def reproduce(
    recipes: Annotated[Path, typer.Argument(help="Folder of a paper, with rows/*.yaml.")],
    out: Out,
    data: Annotated[Path | None, typer.Option(help="The data set, as published.")] = None,
    split_file: SplitFile = None,
    smoke: Annotated[bool, typer.Option(help="A few steps per row, on phantoms.")] = False,
    rows: Annotated[str, typer.Option(help="Only these rows, separated by commas.")] = "",
    layout: Layout = "auto",
    device: Device = "auto",
) -> None:
    """Train, calibrate, detect and evaluate every row of a paper; resumes where it stopped."""
    if smoke:
        protocol = reproduction.Protocol.smoke(out)
    elif data is None or split_file is None:
        raise UsageError("reproduce: expected --data and --split-file, or --smoke")
    else:
        protocol = reproduction.Protocol(data=data, layout=layout, split_file=split_file, work=out)
    table = reproduction.reproduce(
        recipes, protocol, rows=_words(rows), device=device, track=_track
    )
    typer.echo(table)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("demo"),
    device: Device = "auto",
) -> None:
    """Run the whole path on a cohort of digital phantoms, from files to page."""
    typer.echo(pipeline.demo(out, device=device, track=_track))


@app.command()
def models(
    recipes: Annotated[
        Path | None, typer.Argument(help="Folder of papers: list their rows.", exists=True)
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page of the documentation.")
    ] = False,
) -> None:
    """List the model families, or the rows of papers, with what each of them costs."""
    if markdown:
        typer.echo(catalogue.markdown(recipes or Path("recipes")), nl=False)
        return
    table = Table(*catalogue.HEADINGS)
    for entry in catalogue.rows(recipes) if recipes else catalogue.families():
        table.add_row(*entry.cells())
    Console().print(table)
    typer.echo("ready to use, without training: " + ", ".join(builtin_names()))


def main() -> None:
    """Run the command line; errors meant for people end it with their own exit code."""
    try:
        app()
    except AnomriError as error:
        console.print(f"anomri: {error}", style="red", markup=False, highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.print("anomri: stopped; run the same command again to go on.")
        sys.exit(130)


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def _selection(subjects: str, split_file: Path | None, split: str) -> pipeline.Selection | None:
    if split_file is not None:
        return pipeline.Selection.of_split(split_file, split)
    return pipeline.Selection(_words(subjects)) if subjects else None


def _with_contrasts(recipe: Recipe, contrasts: str) -> Recipe:
    names = tuple(name.strip() for name in contrasts.split(",") if name.strip())
    return recipe.model_copy(update={"contrasts": names}) if names else recipe


def _show(found: Found) -> None:
    console.print(f"{len(found.scans)} scans found (layout: {found.layout})", highlight=False)
    for files in found.scans:
        extras = [name for name in ("brain", "truth") if getattr(files, name)]
        what = ", ".join([*files.contrasts, *extras])
        console.print(f"  {files.label}: {what}", markup=False, highlight=False)
    for skipped in found.skipped:
        console.print(f"  left out {skipped.name}: {skipped.reason}", markup=False, style="yellow")


def _finish(outcome: pipeline.Outcome, out: Path) -> None:
    """Say what became of the batch and end with its exit code."""
    console.print(
        f"{len(outcome.done)} done, {len(outcome.unchanged)} unchanged, "
        f"{len(outcome.failures)} failed",
        highlight=False,
    )
    for failure in outcome.failures:
        text = f"  {failure.subject}: {failure.file}: {failure.reason}. Next: {failure.next_step}"
        console.print(text, markup=False, style="red", highlight=False)
    if outcome.failures:
        console.print(f"The failures are listed in {out.name}/failures.tsv", highlight=False)
        raise typer.Exit(outcome.exit_code)


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        yield progress


def _track(items: Sequence[Any], what: str) -> Iterable[Any]:
    """Go through ``items`` behind a progress bar with the time left."""
    with _bar() as progress:
        yield from progress.track(items, description=what)


if __name__ == "__main__":
    main()
