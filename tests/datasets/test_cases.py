from __future__ import annotations

from pathlib import Path

from anomri.datasets.cases import BRAIN, TRUTH, Cases
from anomri.datasets.found import Skipped
from anomri.datasets.tree import Tree

ROOT = Path("source")


def _cases() -> Cases:
    return Cases(Tree(ROOT, ()))


def test_a_complete_case_becomes_a_scan() -> None:
    cases = _cases()
    case = cases.case(1, "a_1", where="a_1", healthy=True)
    for role in ("t1", "flair", BRAIN, TRUTH):
        case.add(role, ROOT / f"{role}.nii")
    (scan,) = cases.found("here").scans
    assert dict(scan.contrasts) == {"flair": ROOT / "flair.nii", "t1": ROOT / "t1.nii"}
    assert (scan.brain, scan.truth) == (ROOT / "brain.nii", ROOT / "truth.nii")
    assert (scan.subject, scan.healthy, scan.layout) == ("a_1", True, "here")


def test_two_files_for_one_role_are_both_named_and_the_rest_stays() -> None:
    cases = _cases()
    case = cases.case(1, "a", where="a")
    case.add("t1", ROOT / "one.nii")
    case.add("t1", ROOT / "two.nii")
    case.add("flair", ROOT / "flair.nii")
    found = cases.found("here")
    assert list(found.scans[0].contrasts) == ["flair"]
    assert found.skipped[0].name == "a t1"
    assert "one.nii and two.nii" in found.skipped[0].reason


def test_the_second_of_two_equal_labels_is_skipped() -> None:
    cases = _cases()
    cases.case(1, "case_01", where="first").add("t1", ROOT / "first.nii")
    cases.case(2, "case-01", where="second").add("t1", ROOT / "second.nii")
    found = cases.found("here")
    assert [scan.contrasts["t1"].name for scan in found.scans] == ["first.nii"]
    assert found.skipped[0].name == "second"
    assert "sub-case01 is taken by first" in found.skipped[0].reason


def test_sessions_of_one_subject_do_not_collide() -> None:
    cases = _cases()
    for session in ("1", "2"):
        cases.case(session, "a", where=session, session=session).add("t1", ROOT / "x.nii")
    labels = [scan.label for scan in cases.found("here").scans]
    assert labels == ["sub-a_ses-1", "sub-a_ses-2"]


def test_masks_alone_are_no_scan() -> None:
    cases = _cases()
    cases.case(1, "a", where="a").add(TRUTH, ROOT / "seg.nii")
    found = cases.found("here")
    assert found.scans == ()
    assert found.skipped == (Skipped("a", "no scan beside seg.nii"),)


def test_a_name_without_letters_makes_no_label() -> None:
    cases = _cases()
    cases.case(1, "__", where="__").add("t1", ROOT / "__.nii")
    found = cases.found("here")
    assert found.scans == ()
    assert "no letter" in found.skipped[0].reason


def test_what_the_walk_skipped_is_kept() -> None:
    skipped = Skipped("link", "leads nowhere")
    cases = Cases(Tree(ROOT, (), (skipped,)))
    assert cases.found("here").skipped == (skipped,)
