from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anomri.errors import BadIntensities, Failure, UsageError
from anomri.files import read_tsv, write_tsv
from anomri.reporting import read_sound_records, write_detection, write_page, write_tables
from anomri.scan import Detection, Location, Note, NoteKind, Side, Zone

Detect = Callable[..., Detection]


def test_tables_hold_every_scan_on_disk(detect: Detect, tmp_path: Path) -> None:
    for subject in ("b", "a"):
        write_detection(detect(subject=subject), tmp_path)
    write_detection(detect(subject="c", label="sub-c_ses-2"), tmp_path)
    write_tables(tmp_path, [])
    summary = read_tsv(tmp_path / "summary.tsv")
    assert [row["label"] for row in summary] == ["sub-a", "sub-b", "sub-c_ses-2"]
    findings = read_tsv(tmp_path / "findings.tsv")
    assert [row["subject"] for row in findings] == ["a", "b", "c"]
    assert findings[0]["centre_x_mm"] == "-60"
    assert float(summary[0]["lesion_volume_ml"]) == pytest.approx(float(findings[0]["volume_ml"]))
    assert summary[0]["threshold_rule"] == "healthy"
    assert json.loads((tmp_path / "dataset_description.json").read_text())["DatasetType"] == (
        "derivative"
    )


def test_results_of_several_models_are_told_apart(
    detect: Detect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = detect(subject="a"), detect(subject="b")
    write_detection(first, tmp_path)
    write_tables(tmp_path, [])
    assert "several models" not in caplog.text
    other = second.provenance.model_copy(update={"recipe": "other"})
    write_detection(replace(second, provenance=other), tmp_path)
    write_tables(tmp_path, [])
    models = [row["model"] for row in read_tsv(tmp_path / "summary.tsv")]
    assert models == [first.provenance.recipe, "other"]
    assert f"results of several models: {', '.join(sorted(models))}" in caplog.text


def test_a_result_of_an_earlier_run_is_marked_where_the_scan_fails_now(
    detect: Detect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_detection(detect(subject="a"), tmp_path)
    error = BadIntensities("a.nii.gz", expected="finite values", got="NaN", next_step="Export.")
    write_tables(tmp_path, [Failure.of(error, subject="a", label="sub-a")])
    (row,) = read_tsv(tmp_path / "summary.tsv")
    assert row["status"] == "finished"
    earlier = "result of an earlier run; failed now: expected finite values, got NaN"
    assert row["notes"].startswith(earlier)
    assert "sub-a: its results are those of an earlier run" in caplog.text


def test_a_scan_being_written_is_no_scan(detect: Detect, tmp_path: Path) -> None:
    home = write_detection(detect(), tmp_path)
    hidden = tmp_path / ".writing-x" / "new"
    hidden.parent.mkdir()
    home.rename(hidden)
    write_tables(tmp_path, [])
    assert read_tsv(tmp_path / "summary.tsv") == []


def test_failures_name_file_reason_and_next_step(tmp_path: Path) -> None:
    error = BadIntensities(
        "/home/someone/a.nii.gz", expected="finite values", got="NaN", next_step="Export again."
    )
    write_tables(tmp_path, [Failure.of(error, subject="a", label="sub-a")])
    expected = {
        "subject": "a",
        "file": "a.nii.gz",
        "reason": "expected finite values, got NaN",
        "next_step": "Export again.",
        "status": "failed",
    }
    assert read_tsv(tmp_path / "failures.tsv") == [expected]
    write_tables(tmp_path)
    assert read_tsv(tmp_path / "failures.tsv") == [expected]
    write_tables(tmp_path, [])
    assert read_tsv(tmp_path / "failures.tsv") == []


def test_a_damaged_result_of_a_session_has_the_label_of_its_scan(
    detect: Detect, tmp_path: Path
) -> None:
    write_detection(detect(subject="a", label="sub-a"), tmp_path)
    write_detection(detect(subject="c", label="sub-c_ses-2", entities="acq-3D"), tmp_path)
    (sidecar,) = tmp_path.glob("sub-c/ses-2/anat/*_label-lesion_mask.json")
    sidecar.write_text("{")
    records, damaged = read_sound_records(tmp_path)
    assert [record.label for record in records] == ["sub-a"]
    assert list(damaged) == ["sub-c_ses-2"]
    assert damaged["sub-c_ses-2"].file == sidecar.name
    write_tables(tmp_path, [])
    (row,) = read_tsv(tmp_path / "failures.tsv")
    assert (row["subject"], row["file"]) == ("sub-c", sidecar.name)


@pytest.mark.parametrize("name", ["=1+1", "+A1", "-A1", "@SUM(A1)"])
def test_no_name_is_run_by_a_spreadsheet(name: str, tmp_path: Path) -> None:
    write_tsv(tmp_path / "t.tsv", ["subject", "value"], [(name, -1.5)])
    assert (tmp_path / "t.tsv").read_text() == f"subject\tvalue\n'{name}\t-1.5\n"
    assert read_tsv(tmp_path / "t.tsv") == [{"subject": name, "value": "-1.5"}]


def test_a_name_cannot_break_a_row(tmp_path: Path) -> None:
    write_tsv(tmp_path / "t.tsv", ["subject", "file"], [("a\tb\nc", None)])
    assert read_tsv(tmp_path / "t.tsv") == [{"subject": "a b c", "file": "n/a"}]


def test_a_registered_lesion_has_its_place_in_the_table(detect: Detect, tmp_path: Path) -> None:
    shift = np.eye(4)
    shift[:3, 3] = 88, -32, -24  # of the centre at -60, 52, 44
    write_detection(detect(subject="moved", to_template=shift), tmp_path)
    write_detection(detect(subject="plain"), tmp_path)
    write_tables(tmp_path, [])
    moved, plain = read_tsv(tmp_path / "findings.tsv")
    axes = [f"template_{axis}_mm" for axis in "xyz"]
    assert [moved[axis] for axis in axes] == ["28", "20", "20"]
    assert moved["template_tissue"] == "white matter"
    assert {plain[name] for name in (*axes, "template_tissue")} == {"n/a"}


def test_lesions_are_summed_by_side_and_zone(detect: Detect, tmp_path: Path) -> None:
    found = detect(subject="a")
    location = Location(Side.LEFT, Zone.JUXTACORTICAL)
    lesions = [
        replace(found.findings[0], number=n, volume_ml=ml, location=location)
        for n, ml in ((1, 2.0), (2, 0.5))
    ]
    write_detection(replace(found, findings=tuple(lesions)), tmp_path)
    write_detection(detect(subject="b"), tmp_path)
    write_tables(tmp_path, [])
    rows = read_tsv(tmp_path / "findings.tsv")
    place = ("left", "juxtacortical/cortical")
    assert [(row["side"], row["zone"]) for row in rows] == [place, place, ("n/a", "n/a")]
    first, second = read_tsv(tmp_path / "regions.tsv")
    assert (first["side"], first["zone"]) == place
    assert (first["lesion_count"], first["volume_ml"]) == ("2", "2.5")
    assert (second["zone"], second["lesion_count"]) == ("n/a", "1")


def test_a_volume_has_its_range_in_both_tables(detect: Detect, tmp_path: Path) -> None:
    """By hand: 1000 and 250 voxels of 0.008 ml below and above."""
    found = detect(subject="ranged")
    lower, higher = np.zeros_like(found.mask), np.zeros_like(found.mask)
    lower[:10, :10, :10], higher[:10, :5, :5] = True, True
    lesion = replace(found.findings[0], volume_ml=4.0, range_ml=(2.0, 8.0))
    write_detection(replace(found, findings=(lesion,), nearby=(lower, higher)), tmp_path)
    write_detection(detect(subject="without"), tmp_path)
    write_tables(tmp_path, [])
    ranged, without = read_tsv(tmp_path / "findings.tsv")
    columns = ("volume_least_ml", "volume_most_ml", "threshold_stability")
    assert [ranged[name] for name in columns] == ["2", "8", "0.25"]
    assert [without[name] for name in columns] == ["n/a"] * 3
    ranged, without = read_tsv(tmp_path / "summary.tsv")
    assert [ranged[f"lesion_{name}"] for name in columns[:2]] == ["2", "8"]
    assert without["lesion_volume_least_ml"] == "n/a"
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert "(2.0 to 8.0)" in text
    assert "0.25 sensitive" in text


def test_a_probability_is_in_the_table_the_sidecar_and_the_page(
    detect: Detect, tmp_path: Path
) -> None:
    found = detect(subject="rated")
    lesion = replace(found.findings[0], range_ml=(2.0, 8.0), probability_real=0.8125)
    lower = np.zeros_like(found.mask)
    write_detection(replace(found, findings=(lesion,), nearby=(lower,)), tmp_path)
    write_detection(detect(subject="without"), tmp_path)
    write_tables(tmp_path, [])
    rated, without = read_tsv(tmp_path / "findings.tsv")
    assert float(rated["probability_real"]) == pytest.approx(0.8125, abs=1e-3)
    assert without["probability_real"] == "n/a"
    first, second = read_sound_records(tmp_path)[0]
    assert first.findings[0].probability_real == 0.8125
    assert second.findings[0].probability_real is None
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert '<td class="n">0.81</td>' in text
    assert text.count('<th scope="col" class="n">Probability real</th>') == 1


def test_lesions_are_counted_by_region_where_there_is_no_mass(
    detect: Detect, tmp_path: Path
) -> None:
    note = Note(NoteKind.NO_MASS, "no mass")
    zones = ((Zone.PERIVENTRICULAR, 6.5), (Zone.INFRATENTORIAL, 3.0), (Zone.JUXTACORTICAL, 2.0))
    for subject, notes in (("small", (note,)), ("mass", ())):
        found = detect(subject=subject, notes=notes)
        lesions = tuple(
            replace(
                found.findings[0], number=n, location=Location(Side.LEFT, zone), long_axis_mm=mm
            )
            for n, (zone, mm) in enumerate(zones, start=1)
        )
        write_detection(replace(found, findings=lesions), tmp_path)
    write_tables(tmp_path, [])
    assert [row["long_axis_mm"] for row in read_tsv(tmp_path / "findings.tsv")] == 2 * [
        *("6.5", "3", "2")
    ]
    mass, small = read_tsv(tmp_path / "summary.tsv")
    columns = ("periventricular_count", "juxtacortical_count", "infratentorial_count")
    assert [small[name] for name in (*columns, "dissemination_in_space")] == ["1", "0", "1", "true"]
    assert [mass[name] for name in (*columns, "dissemination_in_space")] == ["n/a"] * 4
    (sidecar,) = tmp_path.glob("sub-small/anat/*_label-lesion_mask.json")
    written = json.loads(sidecar.read_text("utf-8"))
    assert written["McdonaldRegions"] == {
        "PeriventricularCount": 1,
        "JuxtacorticalCount": 0,
        "InfratentorialCount": 1,
        "DisseminationInSpace": True,
    }
    assert written["Findings"][0]["LongAxisMm"] == 6.5
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert text.count("This meets the imaging count") == 1
    assert '<td class="n">6.5</td>' in text


def test_the_former_name_of_the_threshold_stability_is_read(detect: Detect, tmp_path: Path) -> None:
    found = detect()
    lesion = replace(found.findings[0], range_ml=(2.0, 8.0))
    home = write_detection(replace(found, findings=(lesion,)), tmp_path)
    path = home / "sub-ball01_label-lesion_mask.json"
    path.write_text(path.read_text("utf-8").replace('"ThresholdStability"', '"Firmness"'), "utf-8")
    ((record, *_), _) = read_sound_records(tmp_path)
    assert record.findings[0].threshold_stability == 0.25


def test_the_description_of_another_data_set_is_not_overwritten(tmp_path: Path) -> None:
    own = tmp_path / "dataset_description.json"
    own.write_text('{"Name": "Tübingen", "BIDSVersion": "1.8.0"}', encoding="utf-8")
    with pytest.raises(UsageError, match="write to another folder"):
        write_tables(tmp_path, [])
    assert "bingen" in own.read_text("utf-8")
    assert not (tmp_path / ".bidsignore").exists()
