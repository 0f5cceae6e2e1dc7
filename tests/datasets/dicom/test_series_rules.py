"""A site's rules on tags: which series is which contrast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from anomri.cli import app
from anomri.datasets import SiteRules, find, find_studies
from anomri.errors import UsageError

MakeSeries = Callable[..., list[Path]]
VOLUME = np.ones((10, 12, 14))
RULES = """
studies: {BodyPartExamined: [HEAD, BRAIN]}
series:
  - contrast: flair
    where: {SeriesDescription: "*dark fluid*", MRAcquisitionType: 3D}
  - contrast: flair
    where: {SeriesDescription: "*DARK fluid*", EchoTime: {min: 80, max: 160}}
  - contrast: t1ce
    where: {SeriesNumber: 7, FlipAngle: [15, "9*"]}
  - contrast: ignore
    where: {SeriesDescription: t2*}
"""


def rules(tmp_path: Path, text: str = RULES) -> SiteRules:
    path = tmp_path / "series.yaml"
    path.write_text(text, encoding="utf-8")
    return SiteRules.read(path)


def taken(folder: Path, tmp_path: Path, text: str = RULES) -> dict[str, tuple[str, str]]:
    found = find_studies(folder, rules(tmp_path, text))
    return {row.number: (row.taken_for, row.reason) for row in found.recognised}


def test_the_first_rule_that_fits_decides(tmp_path: Path, make_series: MakeSeries) -> None:
    folder = tmp_path / "in"
    make_series(folder, VOLUME, number=1, SeriesDescription="dark fluid tra")
    make_series(folder, VOLUME, number=7, SeriesDescription="x", FlipAngle=90, EchoTime=5)
    make_series(folder, VOLUME, number=8, SeriesDescription="x", FlipAngle=15, EchoTime=55)
    make_series(folder, VOLUME, number=9, SeriesDescription="T2 tse")
    make_series(folder, VOLUME[:2], number=10, SeriesDescription="dark fluid short")
    seen = taken(folder, tmp_path)
    assert seen["1"] == ("flair", "rule 2")
    assert seen["7"] == ("t1ce", "rule 3")
    assert seen["8"][0] == "not used"  # as the headers tell: no known contrast
    assert seen["9"] == ("not used", "rule 4 ignores it")
    assert seen["10"][1].startswith("rule 2, but a localiser or incomplete: 2 slices")
    (scan,) = find(folder, series=rules(tmp_path)).scans
    assert set(scan.contrasts) == {"flair", "t1ce"}


def test_of_one_contrast_the_series_of_the_earliest_rule_is_used(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    folder = tmp_path / "in"
    make_series(folder, VOLUME, number=1, SeriesDescription="dark fluid tra")
    make_series(
        folder, VOLUME, number=2, SeriesDescription="Dark Fluid sag", MRAcquisitionType="3D"
    )
    make_series(folder, VOLUME, number=3, SeriesDescription="t2 flair", EchoTime=70)
    seen = taken(folder, tmp_path)
    assert seen["2"] == ("flair", "rule 1")
    assert seen["1"] == ("not used", "rule 2; rule 1 has another flair")
    assert seen["3"] == ("not used", "rule 4 ignores it")
    (scan,) = find_studies(folder, rules(tmp_path)).scans
    assert list(scan.contrasts) == ["flair"]
    assert not scan.unclear


def test_two_series_of_one_rule_are_not_guessed_between(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    for number in (1, 2):
        make_series(tmp_path / "in", VOLUME + number, number=number, SeriesDescription="dark fluid")
    found = find_studies(tmp_path / "in", rules(tmp_path))
    assert found.scans == ()


def test_no_rule_makes_an_image_of_another_kind_a_contrast(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    folder = tmp_path / "in"
    make_series(folder, VOLUME, number=1, SeriesDescription="dark fluid", Modality="CT")
    make_series(folder, VOLUME, number=2, SeriesDescription="anything")
    seen = taken(folder, tmp_path, RULES + "otherwise: ignore\n")
    assert seen["1"] == ("not used", "rule 2, but not an MR image")
    assert seen["2"] == ("not used", "no rule matches it")


def test_detect_takes_the_rules_of_a_site(tmp_path: Path, make_series: MakeSeries) -> None:
    make_series(tmp_path / "in", VOLUME, SeriesDescription="dark fluid")
    rules(tmp_path)
    words = ["detect", str(tmp_path / "in"), "--series", str(tmp_path / "series.yaml")]
    result = CliRunner().invoke(app, [*words, "--dry-run"], catch_exceptions=False)
    assert "rule 2" in result.output


def test_a_study_is_meant_where_a_series_fits(tmp_path: Path) -> None:
    meant = rules(tmp_path)
    assert meant.wants({"BodyPartExamined": "head"})
    assert not meant.wants({"BodyPartExamined": "KNEE"})
    assert not meant.wants({})
    assert SiteRules().wants({})
    listed = SiteRules(studies={"ImageType": "original primary*"})
    assert listed.wants({"ImageType": "ORIGINAL\\PRIMARY\\M"})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("series: 3", "series: "),
        ("serie: []", "Extra inputs"),
        ("series: [{contrast: pd, where: {EchoTime: 3}}]", "series.0.contrast: "),
        ("series: [{contrast: t1, where: {}}]", "series.0.where: "),
        ("series: [{contrast: t1, where: {PatientName: a}}]", "expected one of SeriesDescription"),
        ("series: [{contrast: t1, where: {EchoTime: {least: 3}}}]", "series.0.where.EchoTime: "),
        ("series: [{contrast: t1, where: {EchoTime: []}}]", "series.0.where.EchoTime: "),
        ("otherwise: guess", "otherwise: "),
        ("studies: &a {EchoTime: 1}\nseries: *a", "expected no aliases"),
        ("studies: !!python/object/apply:os.system [ls]", "expected YAML"),
        ("a: b: c", "expected YAML"),
        ("- 1", "the file: "),
    ],
)
def test_wrong_rules_are_refused_with_their_place(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)series\.yaml: .*Next: correct the file") as refused:
        rules(tmp_path, text)
    assert fault in str(refused.value)


def test_a_file_of_rules_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.yaml: expected a file with rules"):
        SiteRules.read(tmp_path / "no.yaml")


def test_no_rules_are_the_recognition_from_headers(tmp_path: Path, make_series: MakeSeries) -> None:
    make_series(tmp_path / "in", VOLUME, SeriesDescription="t2 flair")
    empty: dict[str, Any] = taken(tmp_path / "in", tmp_path, "")
    assert empty["1"] == ("flair", "described as 't2 flair'")
