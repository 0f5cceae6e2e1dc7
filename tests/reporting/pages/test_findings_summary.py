from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from anomri.reporting import Record
from anomri.reporting.pages.findings_summary import lead, trust
from anomri.scan import (
    Detection,
    FalsePositiveVolume,
    Location,
    Note,
    NoteKind,
    Side,
    Threshold,
    Zone,
)

Detect = Callable[..., Detection]


def clean(detect: Detect, **changes: object) -> Detection:
    """A scan in which nothing was found."""
    found = detect(**changes)
    return replace(found, mask=found.mask & False, findings=())


def test_one_scan_says_where_its_lesion_lies(detect: Detect) -> None:
    record = Record.of(detect())
    assert lead([record]) == (
        f"ball_01 (FLAIR): 1 lesion, {record.lesion_volume_ml:.1f} ml: "
        f"the largest lies {record.findings[0].position}."
    )
    assert lead([Record.of(clean(detect))]) == "ball_01 (FLAIR): no lesion was found."
    two = record.model_copy(update={"findings": record.findings * 2})
    assert "2 lesions," in lead([two])


def test_one_scan_sums_its_lesions_by_place(detect: Detect) -> None:
    location = Location(Side.LEFT, Zone.PERIVENTRICULAR)
    found = detect()
    lesions = [
        replace(found.findings[0], number=1, volume_ml=3.1, location=location),
        replace(found.findings[0], number=2, volume_ml=0.8, location=location),
        replace(
            found.findings[0], number=3, volume_ml=1.2, location=Location(Side.BOTH, Zone.DEEP)
        ),
    ]
    text = lead([Record.of(replace(found, findings=tuple(lesions)))])
    assert text.endswith("ml: left periventricular 3.9 ml, bilateral deep white matter 1.2 ml.")


def test_many_scans_say_how_many_and_how_much(detect: Detect) -> None:
    records = [Record.of(detect()), Record.of(clean(detect)), Record.of(detect())]
    ml = f"{records[0].lesion_volume_ml:.1f}"
    assert lead(records) == (
        f"3 scans (FLAIR): a lesion was found in 2 of 3, {ml} to {ml} ml, median {ml} ml."
    )
    assert lead(records[1:2] * 2) == "2 scans (FLAIR): a lesion was found in none."
    assert lead([]) == ""


def test_healthy_scans_are_no_patients(detect: Detect) -> None:
    patient, marked = Record.of(detect(healthy=False)), Record.of(detect(healthy=True))
    spared = Record.of(clean(detect, healthy=True))
    assert "found in 1 of 1 patients," in lead([patient, marked, spared])
    assert lead([patient, marked, spared]).endswith("; in 1 of 2 healthy ones.")
    assert lead([marked, marked]).endswith("in none; in 2 of 2 healthy ones.")
    assert lead([spared, spared]) == "2 scans (FLAIR): a lesion was found in none."


def test_agreement_is_told_with_its_interval_and_its_worst(detect: Detect) -> None:
    evaluation = [
        {"subject": "a", "dice": "0.9"},
        {"subject": "b", "dice": "0.5"},
        {"subject": "c", "dice": "n/a"},
    ]
    summary = [{"metric": "dice", "mean": "0.7", "lower": "0.5", "upper": "0.9"}]
    first, _ = trust([Record.of(detect())], evaluation, summary)
    assert first == (
        "Against the expert's masks the mean Dice is 0.70 (95 % interval 0.50 to 0.90); "
        "the worst of 2, scan b, has 0.50."
    )
    assert trust([], [], summary) == [
        "Against the expert's masks the mean Dice is 0.70 (95 % interval 0.50 to 0.90)."
    ]
    assert trust([], [], []) == []


def test_false_alarms_are_measured_expected_or_unknown(detect: Detect) -> None:
    found = detect()
    _, unknown = trust([Record.of(found)], [], [])
    assert "was not fitted on healthy scans" in unknown
    rule = Threshold(value=2.0, rule="healthy", fitted_on=("a",), false_positive_ml=1.25)
    _, expected = trust([Record.of(replace(found, threshold=rule))], [], [])
    assert "In a healthy scan 1.25 ml are expected above" in expected
    volume = FalsePositiveVolume(mean_ml=2.0, median_ml=1.0, upper_ml=4.6, scans=3)
    rule = replace(rule, false_positives=volume)
    _, marked = trust([Record.of(replace(found, threshold=rule))], [], [])
    assert "of 3 scans" in marked
    assert "marked 1.0 ml (median; mean 2.0, 95th percentile 4.6)" in marked
    healthy = [Record.of(detect(healthy=True)), Record.of(clean(detect, healthy=True))]
    _, measured = trust(healthy, [], [])
    assert measured.startswith("Something was marked in 1 of 2 healthy scans, at most ")


def test_remarks_are_pointed_at(detect: Detect) -> None:
    note = Note(NoteKind.VOXEL_SIZE, "spacing unknown")
    records = [Record.of(detect(notes=(note,))), Record.of(detect())]
    assert trust(records, [], [])[-1] == "Read the remarks: 1 of 2 scans has one."


def test_a_scan_that_looks_like_another_is_not_to_be_trusted(detect: Detect) -> None:
    note = Note(NoteKind.IMPLAUSIBLE, "FLAIR looks like T1")
    records = [Record.of(detect(notes=(note,))), Record.of(detect())]
    text = " ".join(trust(records, [], []))
    assert "Check 1 of 2 scans (ball_01) before using their results" in text
    assert "before using their results" not in " ".join(trust(records[1:], [], []))
