"""Choosing files of a BIDS data set, with pybids' filter files and with options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anomri.datasets import BidsFilter, Found, find
from anomri.errors import UsageError

Lay = Callable[..., Path]
RUNS = ("sub-01/anat/sub-01_run-1_FLAIR.nii.gz", "sub-01/anat/sub-01_run-02_FLAIR.nii.gz")
FSPGR = "sub-01/anat/sub-01_acq-fspgr_T1w.nii.gz"
T1 = "sub-01/anat/sub-01_T1w.nii.gz"
T1_WITH_AGENT = "sub-01/anat/sub-01_ce-gd_T1w.nii.gz"


def chosen(found: Found) -> dict[str, str]:
    """Return the file name of each contrast of the only scan, without the common parts."""
    (scan,) = found.scans
    files = {name: path.name.removeprefix("sub-01_") for name, path in scan.contrasts.items()}
    return {name: file.removesuffix(".nii.gz") for name, file in files.items()}


def filtered(root: Path, queries: dict[str, Any]) -> Found:
    path = root.parent / "filter.json"
    path.write_text(json.dumps(queries), encoding="utf-8")
    return find(root, choice=BidsFilter.read(path))


@pytest.mark.parametrize(
    ("query", "file"),
    [
        ({"run": 1}, "run-1_FLAIR"),
        ({"run": "01"}, "run-1_FLAIR"),
        ({"run": 2}, "run-02_FLAIR"),
        ({"run": [2, 3]}, "run-02_FLAIR"),
        ({"run": "^1$", "regex_search": True}, "run-1_FLAIR"),
        ({"run": 2, "suffix": "FLAIR", "datatype": "anat", "extension": ".nii.gz"}, "run-02_FLAIR"),
        ({"run": 2, "scope": "raw", "acquisition": None}, "run-02_FLAIR"),
    ],
)
def test_a_filter_file_chooses_a_run(lay: Lay, query: dict[str, Any], file: str) -> None:
    found = filtered(lay(*RUNS, T1), {"flair": query, "bold": {"task": "rest"}})
    assert chosen(found) == {"flair": file, "t1": "T1w"}
    (skipped,) = found.skipped
    assert "not chosen by the filter: its run is" in skipped.reason


def test_scans_that_were_not_chosen_make_a_selection(lay: Lay) -> None:
    root = lay(T1, T1.replace("01", "02"))
    assert filtered(root, {"t1w": {"subject": "01"}}).chosen
    assert not filtered(root, {"t1w": {"run": None}}).chosen


def test_digits_of_other_scripts_match_nothing(lay: Lay) -> None:
    with pytest.raises(UsageError, match="no scan has a file"):
        filtered(lay(RUNS[0]), {"flair": {"run": "\N{SUPERSCRIPT ONE}"}})


@pytest.mark.parametrize(
    ("value", "file"), [(None, "T1w"), ("*", "acq-fspgr_T1w"), ("fspgr", "acq-fspgr_T1w")]
)
def test_null_is_without_the_entity_and_a_star_with_any_value(
    lay: Lay, value: str | None, file: str
) -> None:
    assert chosen(filtered(lay(T1, FSPGR), {"t1w": {"acquisition": value}})) == {"t1": file}


def test_a_t1_query_leaves_images_with_contrast_agent_unless_it_names_the_agent(lay: Lay) -> None:
    root = lay(T1, T1_WITH_AGENT)
    assert set(chosen(filtered(root, {"t1w": {"acquisition": None}}))) == {"t1", "t1ce"}
    assert set(chosen(filtered(root, {"t1w": {"ceagent": None}}))) == {"t1"}
    assert set(chosen(filtered(root, {"t1w": {"ceagent": "gd"}}))) == {"t1ce"}


@pytest.mark.parametrize(
    ("option", "file"),
    [
        ("run=2", "run-02_FLAIR"),
        ("flair:run=1", "run-1_FLAIR"),
    ],
)
def test_an_option_chooses_where_there_is_a_choice(lay: Lay, option: str, file: str) -> None:
    found = find(lay(*RUNS, T1), choice=BidsFilter.of_options([option]))
    assert chosen(found) == {"flair": file, "t1": "T1w"}


def test_an_option_chooses_only_where_a_file_has_the_entity(lay: Lay) -> None:
    root = lay(*RUNS, T1, FSPGR)
    for option, files in (("t1w:acq=fspgr", {"acq-fspgr_T1w"}), ("acq=null", {"T1w"})):
        found = find(root, choice=BidsFilter.of_options([option, "run=1"]))
        assert set(chosen(found).values()) == {"run-1_FLAIR", *files}


def test_a_filter_file_is_strict(lay: Lay) -> None:
    found = filtered(lay(RUNS[0], T1), {"t1w": {"acquisition": "fspgr"}})
    assert chosen(found) == {"flair": "run-1_FLAIR"}
    assert found.scans[0].unclear["t1"] == "no file matches the filter"


def test_another_session_is_not_chosen_and_another_acquisition_left_out(lay: Lay) -> None:
    names = [f"sub-0{s}/ses-{n}/anat/sub-0{s}_ses-{n}_FLAIR.nii.gz" for s in (1, 2) for n in "ab"]
    names += [name.replace("FLAIR", "T1w") for name in names]
    root = lay(*names, "sub-03/anat/sub-03_acq-2D_FLAIR.nii.gz")
    of_session = filtered(root, {"flair": {"session": "a"}})
    assert [scan.label for scan in of_session.scans] == ["sub-01_ses-a", "sub-02_ses-a"]
    assert of_session.left_out == ()
    of_acquisition = filtered(root, {"flair": {"acquisition": None}})
    (missing,) = of_acquisition.left_out
    assert missing.label == "sub-03"
    assert "its acquisition is 2D, not absent" in missing.reason


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        (
            RUNS,
            '--select flair:run=02, or --bids-filter-file with {"flair": {"run": ["02", null]}}',
        ),
        (
            (T1, FSPGR),
            '--select t1w:acq=null, or --bids-filter-file with {"t1w": {"acquisition": null}}',
        ),
        ((T1_WITH_AGENT, T1_WITH_AGENT.replace("gd", "x")), "--select t1ce:ce=gd"),
    ],
)
def test_the_advice_on_an_ambiguous_contrast_chooses_one(
    lay: Lay, files: tuple[str, ...], advice: str
) -> None:
    root = lay(*files, "sub-01/anat/sub-01_T2w.nii.gz")
    (skipped,) = find(root).skipped
    assert advice in skipped.reason
    option = skipped.reason.partition("--select ")[2].partition(",")[0]
    assert len(chosen(find(root, choice=BidsFilter.of_options([option])))) == 2


def test_a_filter_that_nothing_matches_is_refused(lay: Lay) -> None:
    with pytest.raises(UsageError, match="matches the filter"):
        filtered(lay(*RUNS), {"flair": {"run": 3}})


def test_a_rater_is_chosen_among_masks(lay: Lay) -> None:
    masks = [f"derivatives/{r}/sub-01/sub-01_desc-{r}_label-lesion_mask.nii.gz" for r in "ab"]
    found = filtered(lay(T1, *masks), {"truth": {"desc": "b"}})
    truth = found.scans[0].truth
    assert truth is not None
    assert truth.name == "sub-01_desc-b_label-lesion_mask.nii.gz"


@pytest.mark.parametrize(
    ("queries", "fault"),
    [
        ({"flir": {}}, "query 'flir': expected one of flair, t1w"),
        ({"flair": {"aquisition": "3D"}}, "entity 'aquisition'"),
        ({"flair": ["3D"]}, "expected entities with their values"),
        ({"flair": {"run": {"from": 1}}}, "expected a string, a whole number"),
        ({"flair": {"run": "(", "regex_search": True}}, "expected a regular expression"),
    ],
)
def test_a_filter_with_a_fault_is_refused(lay: Lay, queries: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=r"filter\.json") as error:
        filtered(lay(T1), queries)
    assert fault in str(error.value)
    assert "Next:" in str(error.value)


@pytest.mark.parametrize("text", ["run", "=1", "flir:run=1", "rum=1"])
def test_an_option_with_a_fault_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="select"):
        BidsFilter.of_options([text])


def test_a_damaged_filter_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "filter.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"filter\.json"):
        BidsFilter.read(tmp_path / "filter.json")


def test_a_filter_needs_a_bids_data_set(lay: Lay) -> None:
    with pytest.raises(UsageError, match="expected a BIDS data set"):
        find(lay("a/flair.nii.gz"), choice=BidsFilter.of_options(["run=1"]))
