"""Adaptation of the default model to a cohort of made-up heads, without labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anomri import load
from anomri.datasets import Found
from anomri.detector import Detector
from anomri.errors import UsageError
from anomri.pipeline import Adaptation, adapt
from anomri.pipeline.adaptation import adaptation, changes
from anomri.pipeline.adaptation.cohort import halves
from anomri.pipeline.adaptation.label_free_scan import LabelFreeScan
from anomri.scan import Grid, Scan, ScanFiles
from anomri.training import AdaptationSchedule, Example, read_example, train_fold

SPACING = 6.0
SIDE = 24
TINY = Adaptation(
    schedule=AdaptationSchedule(steps=1, batch=2, shape=(16, 16, 16), spacing=SPACING), device="cpu"
)


def head(files: ScanFiles) -> Scan:
    """A ball of brain with a bright ball in it, whose place depends on the subject."""
    number = int(files.subject)
    index = np.indices((SIDE,) * 3).astype(float) - 11.5
    brain = (index**2).sum(axis=0) < 100
    centre = np.array([(-3, 3)[number % 2], (-3, 3)[number // 2 % 2], (-3, 3)[number // 4 % 2]])
    lesion = ((index - centre[:, None, None, None]) ** 2).sum(axis=0) < 12
    noise = np.random.default_rng(number).normal(0.4, 0.03, brain.shape)
    grid = Grid(shape=brain.shape, affine=np.diag([SPACING] * 3 + [1.0]))
    return Scan(
        subject=files.subject,
        label=files.label,
        image=((noise + 0.4 * lesion) * brain)[None].astype(np.float32),
        contrasts=("flair",),
        brain=brain,
        grid=grid,
        native=grid,
        truth=None if files.truth is None else lesion.astype(np.uint8),
    )


def cohort(folder: Path, count: int) -> Found:
    scans = []
    for number in range(1, count + 1):
        path = folder / f"{number}.nii"
        path.write_text(f"stands for the head of {number}")
        files = {"flair": path}
        scans.append(ScanFiles(subject=f"{number}", contrasts=files, layout="folder", truth=path))
    return Found(tuple(scans), (), "folder")


def found(label: str, subject: str = "", **facts: Any) -> LabelFreeScan:
    usual = {"mask": np.zeros((1, 1, 1), bool), "volume_ml": 5.0, "weight": 1.0, "key": ""}
    signature = np.random.default_rng(sum(map(ord, label))).normal(size=1000).astype(np.float32)
    usual |= {"contents": label, "signature": signature}
    return LabelFreeScan(subject=subject or label, label=label, **{**usual, **facts})


SIX = [found(f"s{n}") for n in range(6)]


def test_each_scan_is_judged_by_the_network_of_the_other_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network is applied to a scan that it was trained on."""
    monkeypatch.setattr(Detector, "prepare", lambda _, files: head(files))
    trained_on, judged = dict[str, set[str]](), dict[str, str]()
    _record_training(monkeypatch, trained_on)
    monkeypatch.setattr(adaptation, "ChangeTask", _judging(changes.ChangeTask, judged))
    scans, run = cohort(tmp_path, 6), tmp_path / "run"
    assert adapt(scans, run, TINY).exit_code == 0
    labels = {files.label for files in scans.scans}
    assert set(judged) == labels
    assert sorted(map(len, trained_on.values())) == [3, 3]
    for label in labels:
        assert label not in trained_on[judged[label]]
    _check_run(run, scans)
    assert set(adapt(scans, run, TINY).unchanged) == labels


def _record_training(monkeypatch: pytest.MonkeyPatch, trained_on: dict[str, set[str]]) -> None:
    """Record the labels of the scans that each network is trained on."""
    labels = dict[int, str]()

    def read_labelled(path: Path) -> Example:
        example = read_example(path)
        labels[id(example)] = path.name.removesuffix("_example.npz")
        return example

    def recorded(build: Any, examples: Sequence[Example], *rest: Any, **options: Any) -> Any:
        state = train_fold(build, examples, *rest, **options)
        trained_on[_digest(state.average)] = {labels[id(one)] for one in examples}
        return state

    monkeypatch.setattr(adaptation, "read_example", read_labelled)
    monkeypatch.setattr(adaptation, "train_fold", recorded)


def _judging(task: Any, judged: dict[str, str]) -> Any:
    def made(detector: Detector, half: str, before: dict[str, LabelFreeScan]) -> Any:
        network = detector.map_models["adapted"].networks[0]
        judged.update(dict.fromkeys(before, _digest(network.state_dict())))
        return task(detector, half, before)

    return made


def _digest(weights: dict[str, torch.Tensor]) -> str:
    return f"{sum(float(weight.half().double().sum()) for weight in weights.values()):.6f}"


def _check_run(run: Path, scans: Found) -> None:
    """The run folder detects like any other, and its table has a row for each scan."""
    model = load(run, device="cpu")
    assert len(model.map_models["adapted"].networks) == 2
    detection = model.detect_scan(head(scans.scans[0]))
    assert detection.volume_ml > 0
    with (run / "changes.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert [row["label"] for row in rows] == [files.label for files in scans.scans]
    assert all(float(row["dice_before"]) > 0.8 for row in rows)
    assert not (run / "unfinished").exists()


def test_a_cohort_that_is_too_small_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Detector, "prepare", lambda _, files: head(files))
    with pytest.raises(UsageError, match="at least 6 subjects with a finding, found 2 among 2"):
        adapt(cohort(tmp_path, 2), tmp_path / "run", TINY)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_scans_without_a_finding_do_not_count() -> None:
    empty = [found(f"e{n}", volume_ml=0.0) for n in range(9)]
    with pytest.raises(UsageError, match="found 5 among 14"):
        halves([*SIX[:5], *empty])


def test_scans_of_one_subject_are_refused() -> None:
    with pytest.raises(UsageError, match="scans of several subjects"):
        halves([found(f"sub-a_ses-{n}", "a") for n in range(8)])


@pytest.mark.parametrize("twin", ["signature", "contents"])
def test_one_image_under_two_names_is_refused(twin: str) -> None:
    copy = replace(found("copy"), **{twin: getattr(SIX[0], twin)})
    ranks = SIX[0].signature / SIX[0].signature.std()
    scans = [replace(SIX[0], signature=ranks), *SIX[1:], copy]
    if twin == "signature":
        scans[-1] = replace(copy, signature=ranks)
    with pytest.raises(UsageError, match="one image twice: copy and s0"):
        halves(scans)


def test_all_scans_of_a_subject_and_of_a_brain_are_in_one_half() -> None:
    sessions = [found(f"sub-a_ses-{n}", "a") for n in range(3)]
    ranks = SIX[0].signature / SIX[0].signature.std()
    brain = 0.9 * ranks + np.sqrt(1 - 0.81) * found("noise").signature
    scans = [replace(SIX[0], signature=ranks), *SIX[1:], *sessions, found("z", signature=brain)]
    first, second = ({scan.label for scan in half} for half in halves(scans))
    assert not first & second
    assert len(first | second) == 10
    for together in ({scan.label for scan in sessions}, {"s0", "z"}):
        assert together <= first or together <= second


def test_a_folder_with_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: other")
    with pytest.raises(UsageError, match="found another model"):
        adapt(cohort(tmp_path, 1), tmp_path, TINY)


def test_scans_that_had_no_part_in_a_finished_adaptation_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = cohort(tmp_path, 2)
    (tmp_path / "recipe.yaml").touch()
    (tmp_path / "adaptation.json").touch()
    (tmp_path / "changes.tsv").write_text(f"label\n{found.scans[0].label}\n")
    (tmp_path / "unfinished").mkdir()
    assert adapt(found, tmp_path, TINY).unchanged == [found.scans[0].label]
    assert not (tmp_path / "unfinished").exists()
    assert "1 of 2 scans were not included" in caplog.text
