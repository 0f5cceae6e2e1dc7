"""Adaptation to a user's own scans, without labels.

::

    scans --default--> label-free masks --halves--> a network each, trained on the masks of one half
          --the other half's network--> corrected masks, and the table of what changed
          --> run folder with both networks
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from anomri.batch import DEFAULT_EXECUTION, Execution, Outcome, run_batch
from anomri.datasets import Found
from anomri.detector import Detector, load
from anomri.errors import UsageError
from anomri.files import (
    ADAPTATION,
    ADAPTATION_WORK,
    CHANGES,
    PRETRAINING_STATE,
    RECIPE,
    WEIGHTS,
    private_temporary_files,
    read_tsv,
    remove_stale_drafts,
    replacing_together,
    write_text,
)
from anomri.models import FoldedSegmenter
from anomri.pipeline.adaptation.adapted_model import (
    ADAPTED,
    BASE,
    HALVES,
    adapted_recipe,
    best_threshold,
    start_network,
    with_one_network,
    write_model,
)
from anomri.pipeline.adaptation.changes import ChangeTask, write_changes
from anomri.pipeline.adaptation.cohort import Half, halves, labels_of
from anomri.pipeline.adaptation.label_free_scan import LabelFreeTask, example_file
from anomri.pipeline.run_record import write_run
from anomri.scan import RESEARCH_USE, Volume
from anomri.scoring import mean_over_mirror_image
from anomri.training import AdaptationSchedule, Deadline, Example, read_example, train_fold

COHORT = "cohort.txt"  # digest of the scans and the schedule of an unfinished adaptation
UNSURE = 0.5  # threshold of the probability where no scan of the other half shows a better one

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How a model is adapted.

    Attributes:
        schedule: training schedule of each half's network.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        minutes: longest time for training; None for no limit.
        execution: how to run the batches of scans.
        command: the command line, for ``run.json``.
    """

    schedule: AdaptationSchedule = AdaptationSchedule()  # noqa: RUF009 - frozen
    device: str = "auto"
    minutes: float | None = None
    execution: Execution = DEFAULT_EXECUTION
    command: Sequence[str] = ()


def adapt(found: Found, run: Path, options: Adaptation) -> Outcome:
    """Train networks on label-free masks of the scans, and write the adapted model.

    An interrupted adaptation is resumed; one that is finished is not changed.

    Args:
        found: the scans; expert masks of theirs have no part in it but in the table of changes.
        run: run folder to write, which ``anomri detect --model`` takes.
        options: how to adapt.

    Returns:
        Outcome of the scans; those that failed were not used for training.

    Raises:
        UsageError: the cohort is too small or too alike, or the folder holds another model.
        DamagedFile: the state of an unfinished adaptation cannot be read.
    """
    work = run / ADAPTATION_WORK
    if _is_finished(run):
        shutil.rmtree(work, ignore_errors=True)  # of a process killed after it had finished
        return _finished_before(run, found)
    remove_stale_drafts(run)
    with private_temporary_files():
        base = load(BASE, device=options.device)
        task = LabelFreeTask(base, work, options.schedule.spacing)
        outcome = run_batch(found, task, options.execution, "finding lesions")
        folds = halves(outcome.values)
        _discard_other(work, folds, options.schedule)
        weights = _trained(base.device, work, folds, options)
        _finish(base, run, found, folds, weights, options, outcome)
    shutil.rmtree(work, ignore_errors=True)
    return outcome


def _is_finished(run: Path) -> bool:
    """Tell whether the folder holds a finished adaptation.

    Raises:
        UsageError: it holds a model of another command.
    """
    if not (run / RECIPE).is_file():
        return False
    if not (run / ADAPTATION).is_file():
        raise UsageError(
            f"{run.resolve().name}: expected a new folder or one of an adaptation, found "
            "another model. "
            "Next: choose another folder with -o."
        )
    return True


def _finished_before(run: Path, found: Found) -> Outcome:
    """Return the scans that had a part in a finished adaptation; warn of others."""
    known = {row.get("label") for row in read_tsv(run / CHANGES)}
    labels = [files.label for files in found.scans]
    if new := sum(label not in known for label in labels):
        log.warning(
            "%s: this adaptation is finished; %d of %d scans were not included. "
            "Next: to include them, choose another folder with -o",
            *(run.resolve().name, new, len(labels)),
        )
    return Outcome(unchanged=[label for label in labels if label in known])


def _discard_other(work: Path, folds: Sequence[Half], schedule: AdaptationSchedule) -> None:
    """Discard the networks of an unfinished adaptation to other scans or of another schedule."""
    scans = [[f"{scan.label} {scan.key}" for scan in half] for half in folds]
    text = json.dumps({"scans": scans, "schedule": asdict(schedule)})
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = work / COHORT
    if not file.is_file() or file.read_text(encoding="utf-8") != key:
        for half in HALVES:
            shutil.rmtree(work / half, ignore_errors=True)
    write_text(file, key)


def _trained(
    device: torch.device, work: Path, folds: Sequence[Half], options: Adaptation
) -> list[Path]:
    """Train a network on each half; return the files of their weights."""
    deadline, files = Deadline.after(options.minutes), []
    for number, (name, half) in enumerate(zip(HALVES, folds, strict=True)):
        folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / WEIGHTS).is_file():
            state = train_fold(
                lambda: start_network(device),
                _examples(work, half),
                folder / PRETRAINING_STATE,
                options.schedule,
                half=number,
                deadline=deadline.first_of(len(HALVES) - number),
                progress=options.execution.progress,
            )
            state.write(folder / WEIGHTS)
        files.append(folder / WEIGHTS)
    return files


def _examples(work: Path, half: Half) -> list[Example]:
    return [read_example(example_file(work, scan.label)) for scan in half]


def _finish(
    base: Detector,
    run: Path,
    found: Found,
    folds: Sequence[Half],
    weights: Sequence[Path],
    options: Adaptation,
    outcome: Outcome,
) -> None:
    """Write the run folder, and add to the outcome the scans that cannot be compared any more."""
    work = run / ADAPTATION_WORK
    threshold = _threshold(base, work, folds, weights, options.schedule.spacing)
    recipe = adapted_recipe(base, options.schedule.spacing, threshold)
    changes = []
    for name, half, file in zip(HALVES, folds, reversed(weights), strict=True):
        judge = with_one_network(base, file, recipe)
        task = ChangeTask(judge, name, {scan.label: scan for scan in half})
        scans = tuple(files for files in found.scans if files.label in labels_of(half))
        part = replace(found, scans=scans, left_out=(), chosen=True)
        compared = run_batch(part, task, options.execution, f"comparing, {name} half")
        changes += compared.values
        outcome.failures += compared.failures
        outcome.exit_codes |= compared.exit_codes
    with replacing_together(run) as draft:
        write_model(draft, weights, recipe)
        write_changes(draft, changes)
        write_text(draft / ADAPTATION, _card(folds, options.schedule, threshold))
        write_run(draft, options.command, device=str(base.device))


def _threshold(
    base: Detector, work: Path, folds: Sequence[Half], weights: Sequence[Path], spacing_mm: float
) -> float:
    """Return the probability to mark from, each half judged by the network of the other one."""
    recipe = adapted_recipe(base, spacing_mm, UNSURE)
    judged = []
    for half, file in zip(folds, reversed(weights), strict=True):
        detector = with_one_network(base, file, recipe)
        judged += [(_probability(detector, one), one) for one in _examples(work, half)]
    return best_threshold(judged, otherwise=UNSURE)


def _probability(detector: Detector, example: Example) -> Volume:
    network = detector.map_models[ADAPTED].networks[0]
    if not isinstance(network, FoldedSegmenter):
        raise TypeError("expected a network that segments")
    probability: Volume = mean_over_mirror_image(network, example.image, detector.device)[0]
    return probability


def _card(folds: Sequence[Half], schedule: AdaptationSchedule, threshold: float) -> str:
    """Return what the networks were trained on; no name of a subject is in it."""
    card = {
        "trained_on": "label-free masks of unlabelled scans, segmented by the model 'default'",
        "scans": [len(half) for half in folds],
        "scans_with_a_finding": [sum(scan.has_finding for scan in half) for half in folds],
        "started_from": "the network 'lesions', CC BY-SA 3.0, which the weights are derived from",
        "schedule": asdict(schedule),
        "threshold": threshold,
        "research_use": RESEARCH_USE,
    }
    return json.dumps(card, indent=2) + "\n"
