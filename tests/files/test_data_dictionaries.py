"""Every column of the tables of results is described beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from anomri.evaluation import case_metrics, curve_points, summarise
from anomri.files import DESCRIBED, dictionary_of, write_tsv
from anomri.files.data_dictionaries import COLUMNS
from anomri.reporting.derivatives.tables import FAILURE_COLUMNS, FINDING_COLUMNS, SUMMARY_COLUMNS


def test_every_column_of_results_is_described() -> None:
    brain = np.ones((6, 6, 6), bool)
    truth = np.zeros_like(brain)
    truth[2:4, 2:4, 2:4] = True
    values = truth.astype(np.float32)
    row = case_metrics(
        mask=truth, values=values, truth=truth, brain=brain, spacing=(1, 1, 1), voxel_ml=0.001
    )
    point = curve_points(values, truth, brain)[0]
    summary = summarise([row])[0]
    columns = {*SUMMARY_COLUMNS, *FINDING_COLUMNS, *FAILURE_COLUMNS, *row, *point, *summary}
    assert columns - COLUMNS.keys() == set()


def test_a_dictionary_is_written_beside_a_table_of_results(tmp_path: Path) -> None:
    for name in (*DESCRIBED, "other.tsv"):
        write_tsv(tmp_path / name, ("subject", "volume_ml", "status"), [])
    content = json.loads(dictionary_of(tmp_path / DESCRIBED[0]).read_text("utf-8"))
    assert content["volume_ml"]["Units"] == "ml"
    assert "failed" in content["status"]["Levels"]
    assert {path.name for path in tmp_path.glob("*.json")} == {
        dictionary_of(Path(name)).name for name in DESCRIBED
    }
