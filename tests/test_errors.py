"""Errors pass from one process to another, whose pool would wait for ever for a broken one."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from anomri.errors import (
    AnomriError,
    DamagedFile,
    DiskFull,
    Evidence,
    NotFetched,
    OutputGone,
    QualityRefused,
    ScanError,
)

FACTS = {"expected": "a volume", "got": "4 axes", "next_step": "split it"}
EVIDENCE = Evidence(np.zeros((2, 2, 2), np.float32), np.ones((2, 2, 2), bool), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "error",
    [
        DiskFull("a.nii", "quota exceeded"),
        OutputGone("a.nii"),
        DamagedFile("/private/a.json", **FACTS),
        NotFetched("/private/a.nii", **FACTS),
        QualityRefused("/private/a.nii", **FACTS, evidence=EVIDENCE),
    ],
)
def test_an_error_is_the_same_in_another_process(error: AnomriError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert (str(there), there.exit_code) == (str(error), error.exit_code)
    facts = {name: value for name, value in vars(error).items() if name != "evidence"}
    assert {name: value for name, value in vars(there).items() if name != "evidence"} == facts


def test_images_of_a_refusal_stay_behind() -> None:
    error = QualityRefused("a.nii", **FACTS, evidence=EVIDENCE)
    assert pickle.loads(pickle.dumps(error)).evidence is None
    assert error.evidence is EVIDENCE


def test_only_the_name_of_a_file_is_kept() -> None:
    for kind in (ScanError, DamagedFile):
        assert str(kind("/private/a.nii", **FACTS)) == (
            "a.nii: expected a volume, got 4 axes. Next: split it"
        )
