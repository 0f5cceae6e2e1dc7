"""Ratings that readers saved from the report: read, merged, kept beside the results, shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.errors import DamagedFile, UsageError
from anomri.files import RATINGS, write_tsv
from anomri.pipeline import report
from anomri.pipeline.rating import (
    Rating,
    merge_ratings,
    rating_panel,
    read_ratings,
    reader_precision,
    write_ratings,
)
from anomri.reporting import Record, read_sound_records, write_detection, write_tables
from anomri.reporting.derivatives import detection as derivatives
from anomri.scan import Detection

Detect = Callable[..., Detection]
EVIL = "</script><script>alert(1)</script>"


def scan(label: str = "sub-a", *, rating: int = 3, second: int = 0) -> Rating:
    return Rating(
        subject="a",
        label=label,
        volume_ml=2.5,
        rating=rating,
        rated=f"2026-01-01T00:00:{second:02}Z",
    )


def finding(record: Record, *, real: bool, volume_ml: float | None = None) -> Rating:
    first = record.findings[0]
    return Rating(
        subject=record.subject,
        label=record.label,
        lesion=first.number,
        volume_ml=first.volume_ml if volume_ml is None else volume_ml,
        judgement="real" if real else "not_real",
        rated="2026-01-01T00:00:00Z",
    )


@pytest.fixture
def out(detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of three scans with a lesion each."""
    monkeypatch.setattr(derivatives, "picture", lambda _: b"")
    for number in range(3):
        write_detection(detect(subject=f"s{number}"), tmp_path / "out")
    write_tables(tmp_path / "out", [])
    return tmp_path / "out"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / RATINGS
    rows = [scan(), finding_of_ten()]
    write_ratings(path, rows)
    assert read_ratings(path) == rows
    dictionary = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert dictionary["volume_ml"]["Units"] == "ml"
    assert dictionary["rating"]["Levels"]["1"] == "unusable"
    assert set(dictionary) == set(Rating.model_fields)


def finding_of_ten() -> Rating:
    return Rating(
        subject="=b", label="sub-b", lesion=10, volume_ml=0.05, judgement="real",
        rated="2026-01-01T00:00:00Z",
    )  # fmt: skip


def test_the_later_rating_holds_whatever_the_order() -> None:
    old, new, other = scan(rating=1), scan(rating=4, second=1), scan("sub-b", rating=2)
    assert merge_ratings([[old, other], [new]]) == [new, other]
    assert merge_ratings([[new], [other, old]]) == [new, other]


def test_a_rating_that_was_cleared_later_does_not_come_back(tmp_path: Path) -> None:
    given = scan(rating=1)
    cleared = given.model_copy(update={"rating": None, "rated": "2026-01-02T00:00:00Z"})
    path = tmp_path / RATINGS
    write_ratings(path, merge_ratings([[given], [cleared]]))
    assert merge_ratings([read_ratings(path), [given]]) == [cleared]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rating": "5"}, "rating"),
        ({"lesion": "1"}, "row"),
        ({"judgement": "real"}, "row"),
        ({"rated": "yesterday"}, "rated"),
        ({"volume_ml": "inf"}, "volume_ml"),
        ({"label": "n/a"}, "label"),
    ],
)
def test_another_row_is_refused_with_its_line(
    tmp_path: Path, change: dict[str, str], named: str
) -> None:
    row = {
        "subject": "a", "label": "sub-a", "lesion": "n/a", "volume_ml": "1", "rating": "3",
        "judgement": "n/a", "rated": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    path = tmp_path / "theirs.tsv"
    write_tsv(path, list(row), [list(row.values()), list((row | change).values())])
    with pytest.raises(DamagedFile, match=rf"theirs\.tsv.*line 3, {named}:.*Next: ") as error:
        read_ratings(path)
    assert error.value.exit_code == 2


def test_ratings_are_kept_beside_the_results_and_shown(out: Path, tmp_path: Path) -> None:
    records = read_sound_records(out)[0]
    for number, record in enumerate(records[:2]):
        saved = [finding(record, real=number == 0), scan(record.label)]
        write_ratings(tmp_path / f"{number}.tsv", saved)
    report(out, ratings=[tmp_path / "0.tsv"])
    text = report(out, ratings=[tmp_path / "1.tsv"]).read_text("utf-8")
    assert len(read_ratings(out / RATINGS)) == 4
    assert "Of 2 findings that were judged (of 3), 1 are real (precision 0.50" in text
    given = re.search('id="given-ratings">(.*?)</script>', text, re.DOTALL)
    assert given is not None
    labels = [records[0].label, records[0].label, records[1].label, records[1].label]
    assert [row["label"] for row in json.loads(given[1])] == labels


def test_judgements_of_earlier_results_are_left_out(out: Path) -> None:
    records = read_sound_records(out)[0]
    ratings = [finding(records[0], real=True), finding(records[1], real=False, volume_ml=999)]
    sentence = reader_precision(ratings, records)
    assert "Of 1 findings that were judged (of 3), 1 are real (precision 1.00)" in sentence
    assert "earlier results, 1, are left out" in sentence
    assert reader_precision([scan()], records) == ""


def test_a_damaged_table_in_the_folder_hides_no_results(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (out / RATINGS).write_text("subject\nx\n", "utf-8")
    assert "s0" in report(out).read_text("utf-8")
    assert "ratings.tsv" in caplog.text
    with pytest.raises(DamagedFile):
        report(out, ratings=[out / RATINGS])


def test_ratings_need_results_and_a_file(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.tsv.*Next"):
        report(out, ratings=[tmp_path / "nowhere.tsv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"summary\.tsv.*Next"):
        report(tmp_path / "empty", ratings=[tmp_path / "nowhere.tsv"])
    assert list((tmp_path / "empty").iterdir()) == []


def test_names_in_ratings_end_no_script_and_the_policy_names_ours() -> None:
    evil = scan().model_copy(update={"subject": EVIL, "label": EVIL})
    panel = rating_panel([evil], [])
    assert "<" not in panel["ratings"]
    assert json.loads(panel["ratings"])[0]["subject"] == EVIL
    assert "unsafe" not in panel["policy"]
    assert panel["policy"].count("sha256-") == 1 + len(panel["scripts"]) + 1  # style, NiiVue
