"""A paper's rows, from recipe to measured table.

Every row is trained on one split of a data set and judged on another, under several thresholds
whose names say what they were allowed to see. The row ``intensity``, which has no network, stands
beside every model. Figures go to ``measured.tsv`` next to the paper's own in ``published.tsv``.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anomri import pipeline
from anomri.datasets import find, make_phantoms
from anomri.detector import Detector, build_family
from anomri.errors import UsageError
from anomri.evaluation import write_table
from anomri.family import REGIONS
from anomri.models import SEGMENTERS
from anomri.recipe import Recipe
from anomri.tsv import read_tsv

BASELINE = "intensity"
MEASURED = "measured.tsv"

# "The enhancing tumor area is specifically highlighted in the T1CE image" (Weninger et al., 4)
REGION_SHOWN: Mapping[tuple[str, ...], str] = {("t1ce",): "enhancing"}

# name in the table -> threshold rule and decision; empty keeps the recipe's own
SETTINGS: Mapping[str, tuple[str, str]] = {
    "recipe (label-free)": ("", ""),
    "robust (label-free)": ("robust", "above"),
    "healthy (fitted on lesion-free tissue of train)": ("healthy", "above"),
    "labelled (fitted on train labels)": ("labelled", "above"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Which scans a table is made from, and where the work is kept.

    Attributes:
        data: the data set, as published.
        layout: its layout.
        split_file: TSV with columns ``subject`` and ``split``.
        work: folder for prepared scans, runs and detections; a second call goes on from there.
        train: split to train and calibrate on.
        test: split to measure on.
        settings: thresholds to measure under, see :data:`SETTINGS`.
        max_steps: training steps per row; None trains as the recipe says.
        table: file to write; None is ``measured.tsv`` of the paper's folder.
    """

    data: Path
    layout: str
    split_file: Path
    work: Path
    train: str = "train"
    test: str = "test"
    settings: Mapping[str, tuple[str, str]] = field(default_factory=lambda: SETTINGS)
    max_steps: int | None = None
    table: Path | None = None

    @classmethod
    def smoke(cls, work: Path) -> Protocol:
        """Return a trial on phantoms: two steps per row, the recipe's own decision, no figure.

        It shows that every row builds, trains, saves, loads, detects and is evaluated. Rows shrink
        to what a laptop trains in seconds; see :func:`shrunk`.
        """
        cohort = make_phantoms(work / "phantoms", healthy=1, gliomas=4, lesions=0, spacing_mm=3.0)
        names = [files.subject for files in find(cohort).scans]
        split_file = work / "splits.tsv"
        parts = ["train", "train", "train", "train", "test"]
        rows = [{"subject": n, "split": p} for n, p in zip(names, parts, strict=True)]
        write_table(split_file, rows)
        return cls(
            data=cohort,
            layout="phantom",
            split_file=split_file,
            work=work,
            settings={"recipe": SETTINGS["recipe (label-free)"]},
            max_steps=2,
            table=work / "smoke.tsv",
        )

    def found(self, split: str) -> Any:
        """List the scans of one split."""
        selection = pipeline.Selection.of_split(self.split_file, split)
        return pipeline.survey(self.data, layout=self.layout, selection=selection)


def reproduce(
    folder: Path,
    protocol: Protocol,
    *,
    rows: frozenset[str] = frozenset(),
    device: str = "auto",
    track: pipeline.Track = pipeline.untracked,
) -> Path:
    """Measure the chosen rows of a paper, all where none is named, into its table.

    The table is written after each row, so that a killed run loses no more than one.

    Raises:
        UsageError: the folder has no rows, or a row named is not there.
    """
    path = protocol.table or folder / MEASURED
    for row in _recipes(folder, rows):
        recipe = shrunk(row) if protocol.max_steps else row
        fresh = list(measure(recipe, protocol, device=device, track=track))
        kept = read_tsv(path)
        write_table(path, [row for row in kept if row["row"] != recipe.name] + fresh)
    return path


def shrunk(recipe: Recipe) -> Recipe:
    """Return a recipe with small batches; a segmenter's with coarse voxels and few filters too."""
    training = recipe.training.model_copy(update={"batch_size": min(recipe.training.batch_size, 8)})
    small = recipe.model_copy(update={"training": training})
    if recipe.family.name not in SEGMENTERS:
        return small
    grid = {"spacing_mm": (4.0, 4.0, 4.0), "shape": (48, 48, 48)}
    options = recipe.family.options | {"filters": 8}
    return small.model_copy(
        update={
            "preparation": recipe.preparation.model_copy(update=grid),
            "family": recipe.family.model_copy(update={"options": options}),
        }
    )


def measure(
    recipe: Recipe, protocol: Protocol, *, device: str, track: pipeline.Track
) -> Iterable[dict[str, Any]]:
    """Train, calibrate, detect and evaluate one row; yield one line per setting and measure."""
    run = train_row(recipe, protocol, device=device, track=track)
    test = protocol.found(protocol.test)
    regions = _regions(recipe)
    for setting, (threshold, decide) in protocol.settings.items():
        if threshold == "labelled" and "whole" not in regions:
            continue  # calibration takes every label for a lesion
        detector = pipeline.load_detector(
            str(run), device=device, threshold=threshold, decide=decide
        )
        out = protocol.work / "out" / recipe.name / (threshold or "recipe")
        pipeline.detect(test, detector, out, track=track)
        for region in regions:
            summary, _ = pipeline.evaluate(out, test, out / region, region=region, track=track)
            facts = {**_origin(recipe, detector), "region": region, "threshold": setting}
            yield from ({**facts, **line} for line in summary)


def train_row(recipe: Recipe, protocol: Protocol, *, device: str, track: pipeline.Track) -> Path:
    """Prepare the training split, train where there is anything to train, and calibrate."""
    name = f"prepared-{'-'.join(recipe.contrasts)}-{recipe.preparation.key()}"
    prepared = protocol.work / name
    pipeline.prepare(protocol.found(protocol.train), prepared, recipe=recipe, track=track)
    run = protocol.work / "runs" / recipe.name
    model: str | Path = BASELINE
    if any(True for _ in build_family(recipe).parameters()):
        model = pipeline.train(recipe, prepared, run, device=device, max_steps=protocol.max_steps)
    pipeline.calibrate(model, prepared, run, device=device, track=track)
    return run


def _regions(recipe: Recipe) -> tuple[str, ...]:
    """Return the regions that a row is measured on."""
    if recipe.family.name in SEGMENTERS:
        return tuple(REGIONS)
    return (REGION_SHOWN.get(recipe.contrasts, "whole"),)


def _recipes(folder: Path, rows: frozenset[str]) -> list[Recipe]:
    found = {path.stem: Recipe.load(path) for path in sorted((folder / "rows").glob("*.yaml"))}
    known = {BASELINE: Recipe.load(BASELINE), **found}
    unknown = sorted(rows - set(known))
    if unknown or not found:
        raise UsageError(f"{folder.name}: no row {unknown}; it has {', '.join(known)}")
    return [recipe for name, recipe in known.items() if not rows or name in rows]


def _origin(recipe: Recipe, detector: Detector) -> dict[str, Any]:
    return {
        "row": recipe.name,
        "contrasts": "+".join(recipe.contrasts),
        "commit": _commit(),
        "anomri": version("anomri"),
        "seed": recipe.training.seed,
        "weights_sha256": detector.weights_hash,
    }


def _commit() -> str:
    """Return the short commit of the checkout anomri runs from; empty outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return ""
    where = Path(__file__).parent
    done = subprocess.run(  # the command is fixed, nothing of it comes from outside
        [git, "-C", str(where), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
