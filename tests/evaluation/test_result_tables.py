from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomri.evaluation import bootstrap, column, summarise, write_table
from anomri.files import read_tsv

NAN = float("nan")
ROWS: list[dict[str, Any]] = [
    {"subject": "a", "dice": 0.5, "hd95_mm": 10.0, "lesion_count": 3},
    {"subject": "b", "dice": 0.8, "hd95_mm": NAN, "lesion_count": 1},
    {"subject": "c", "dice": 0.2, "hd95_mm": 4.0, "lesion_count": 2},
    {"subject": "healthy", "lesion_count": 0},
]


def by_metric(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in rows}


def test_summary_by_hand() -> None:
    summary = by_metric(summarise(ROWS))
    assert list(summary) == ["dice", "hd95_mm", "lesion_count"]
    found = summary["dice"]
    assert found["mean"] == pytest.approx(0.5)
    assert found["median"] == pytest.approx(0.5)
    assert found["sd"] == pytest.approx(0.3)
    interval = bootstrap([0.5, 0.8, 0.2])
    assert (found["lower"], found["upper"]) == (interval.lower, interval.upper)


def test_what_is_left_out_is_counted() -> None:
    summary = by_metric(summarise(ROWS))
    counts = {name: [row[n] for n in ("n", "undefined", "absent")] for name, row in summary.items()}
    assert counts == {"dice": [3, 0, 1], "hd95_mm": [2, 1, 1], "lesion_count": [4, 0, 0]}
    assert summary["hd95_mm"]["mean"] == pytest.approx(7.0)


def test_order_of_subjects_does_not_count_for_the_mean() -> None:
    there, back = by_metric(summarise(ROWS)), by_metric(summarise(ROWS[::-1]))
    for name, row in there.items():
        for value in ("mean", "median", "sd", "n", "undefined", "absent"):
            assert back[name][value] == pytest.approx(row[value])


def test_one_subject_and_none() -> None:
    (only,) = summarise([{"dice": 0.4}])
    assert (only["mean"], only["n"]) == (0.4, 1)
    assert math.isnan(only["sd"])
    assert math.isnan(only["lower"])
    (undefined,) = summarise([{"dice": NAN}])
    assert math.isnan(undefined["mean"])
    assert (undefined["n"], undefined["undefined"]) == (0, 1)
    assert summarise([]) == []


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "scores" / "evaluation.tsv"  # in a folder that is not there yet
    write_table(path, ROWS)
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "subject\tdice\thd95_mm\tlesion_count"
    assert lines[2] == "b\t0.8\tnan\t1"
    assert lines[4] == "healthy\tn/a\tn/a\t0"
    rows = read_tsv(path)
    assert [row["subject"] for row in rows] == ["a", "b", "c", "healthy"]
    np.testing.assert_array_equal(column(rows, "dice"), [0.5, 0.8, 0.2])
    np.testing.assert_array_equal(column(rows, "hd95_mm"), [10.0, NAN, 4.0])
    again = tmp_path / "again.tsv"
    write_table(again, rows)  # a table that was read is written as it was
    assert again.read_bytes() == path.read_bytes()


def test_numbers_are_kept_to_six_digits_and_hashes_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    write_table(path, [{"auprc": np.float64(1 / 3), "weights": "12e4567890123456", "x": -0.25}])
    (row,) = read_tsv(path)
    assert row == {"auprc": "0.333333", "weights": "12e4567890123456", "x": "-0.25"}
    write_table(path, [row])
    assert read_tsv(path) == [row]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@x", "'@x"),
        ("-case", "'-case"),
        ("two\tcells\nand a line", "two cells and a line"),
        ('say "no"', 'say "no"'),
        ("", "n/a"),
    ],
)
def test_names_are_untrusted(tmp_path: Path, name: str, written: str) -> None:
    path = tmp_path / "table.tsv"
    write_table(path, [{"subject": name, "dice": 1.0}])
    assert path.read_text("utf-8") == f"subject\tdice\n{written}\t1\n"
    assert len(read_tsv(path)) == 1


def test_failed_write_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    write_table(path, [{"dice": 1.0}])

    class Unwritable:
        def __str__(self) -> str:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_table(path, [{"dice": 0.0}, {"dice": Unwritable()}])
    assert read_tsv(path) == [{"dice": "1"}]
    assert list(tmp_path.iterdir()) == [path]
