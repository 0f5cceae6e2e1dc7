from __future__ import annotations

import re
from pathlib import Path

from anomri.datasets import Skipped
from anomri.datasets.cases import BRAIN, TRUTH, Cases
from anomri.datasets.file_tree import Tree

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


def test_two_files_of_one_role_are_ambiguous_and_others_are_kept() -> None:
    cases = _cases()
    case = cases.case(1, "a", where="a")
    case.add("t1", ROOT / "one.nii")
    case.add("t1", ROOT / "two.nii")
    case.add("flair", ROOT / "flair.nii")
    found = cases.found("here")
    assert list(found.scans[0].contrasts) == ["flair"]
    assert found.skipped[0].name == "a t1"
    assert "one.nii and two.nii" in found.skipped[0].reason


def test_names_that_share_letters_and_digits_get_distinct_labels() -> None:
    cases = _cases()
    for name in ("p-1", "p1", "Müller", "Mller", "case_01", "case-01"):
        cases.case(name, name, where=name).add("t1", ROOT / f"{name}.nii")
    found = cases.found("here")
    labels = {scan.subject: scan.label for scan in found.scans}
    assert len(set(labels.values())) == 6
    assert found.left_out == ()
    # A name that is a label keeps it, whoever else is there.
    assert (labels["p1"], labels["Mller"]) == ("sub-p1", "sub-Mller")
    assert labels["p-1"].startswith("sub-p1x")


def test_the_second_of_two_equal_names_is_left_out_by_name() -> None:
    cases = _cases()
    cases.case(1, "case_01", where="first").add("t1", ROOT / "first.nii")
    cases.case(2, "case_01", where="second").add("t1", ROOT / "second.nii")
    found = cases.found("here")
    assert [scan.contrasts["t1"].name for scan in found.scans] == ["first.nii"]
    (left_out,) = found.left_out
    assert "sub-case01 is taken by first" in left_out.reason
    assert left_out.label != found.scans[0].label


def test_a_subject_with_ambiguous_files_only_is_left_out() -> None:
    cases = _cases()
    case = cases.case(1, "a", where="a")
    case.add("flair", ROOT / "one.nii")
    case.add("flair", ROOT / "two.nii")
    (left_out,) = cases.found("here").left_out
    assert (left_out.subject, left_out.label) == ("a", "sub-a")
    assert "one.nii and two.nii" in left_out.reason


def test_sessions_of_one_subject_do_not_collide() -> None:
    cases = _cases()
    for session in ("1", "2"):
        cases.case(session, "a", where=session, session=session).add("t1", ROOT / "x.nii")
    labels = [scan.label for scan in cases.found("here").scans]
    assert labels == ["sub-a_ses-1", "sub-a_ses-2"]


def test_masks_alone_are_not_a_scan() -> None:
    cases = _cases()
    cases.case(1, "a", where="a").add(TRUTH, ROOT / "seg.nii")
    found = cases.found("here")
    assert found.scans == ()
    assert found.skipped == (Skipped("a", "no scan beside seg.nii"),)


def test_names_without_latin_letters_and_long_ones_make_labels() -> None:
    cases = _cases()
    for name in ("__", "患者5", "患者", "s" * 235):
        cases.case(name, name, where=name).add("t1", ROOT / f"{name}.nii")
    labels = [scan.label for scan in cases.found("here").scans]
    assert len(set(labels)) == 4
    assert all(re.fullmatch(r"sub-[0-9A-Za-z]{1,64}", label) for label in labels)


def test_entries_skipped_in_the_tree_are_kept() -> None:
    skipped = Skipped("link", "a broken link")
    cases = Cases(Tree(ROOT, (), (skipped,)))
    assert cases.found("here").skipped == (skipped,)
