"""The command lines of BIDS Apps, as the documentation of MRIQC and fMRIPrep shows them."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from anomri import pipeline
from anomri.batch import Execution, Outcome
from anomri.cli import app, bids_app
from anomri.cli.options import ModelOptions
from anomri.datasets import Found

Run = Callable[..., dict[str, Any]]
SUBJECTS = ("S01", "S02", "S03")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the app without computing, and says what would be done."""
    root = tmp_path / "data"
    for subject in SUBJECTS:
        for session in ("pre", "post"):
            name = f"sub-{subject}/ses-{session}/anat/sub-{subject}_ses-{session}_FLAIR.nii.gz"
            (root / name).parent.mkdir(parents=True)
            (root / name).touch()
    (tmp_path / "filter.json").write_text('{"flair": {"session": "pre"}, "bold": {"task": "x"}}')
    (tmp_path / "license.txt").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setitem(os.environ, "TMPDIR", str(tmp_path))
    done: dict[str, Any] = {}

    def detect(found: Found, *_: object, execution: Execution, **__: object) -> Outcome:
        done.update(scans=[f.label for f in found.scans], workers=execution.executor.workers)
        return Outcome()

    def gather(*_: object) -> Outcome:
        done["group"] = True
        return Outcome()

    monkeypatch.setattr(pipeline, "detect", detect)
    monkeypatch.setattr(pipeline, "gather", gather)
    monkeypatch.setattr(pipeline, "report", lambda out: out / "report.html")
    monkeypatch.setattr(ModelOptions, "load", lambda *_, **__: None)
    monkeypatch.setattr(bids_app, "load_exports", lambda *_: None)

    def run(line: str, code: int = 0) -> dict[str, Any]:
        done.clear()
        result = CliRunner().invoke(app, ["bids-app", *line.split()])
        assert result.exit_code == code, result.output
        return {**done, "output": " ".join(result.output.split())}

    return run


@pytest.mark.parametrize(
    ("line", "subjects", "group"),
    [
        # MRIQC
        ("data/ out/ participant", "S01 S02 S03", False),
        ("data/ out/ participant --participant-label S01 S02", "S01 S02", False),
        ("data/ out/ participant --participant_label sub-S01 sub-S03", "S01 S03", False),
        ("data out participant --participant_label S03 --no-sub --nprocs 2", "S03", False),
        ("--participant-label S01 S02 -- data out participant", "S01 S02", False),
        ("data/ out/ group", "", True),
        (
            "data out participant group --n_procs 2 --mem_gb 8 --verbose-reports",
            "S01 S02 S03",
            True,
        ),
        # fMRIPrep
        ("data out participant -w work/", "S01 S02 S03", False),
        (
            "data out participant --fs-license-file license.txt --skip-bids-validation "
            "--participant-label S02 --nthreads 2 --omp-nthreads 1 --mem-mb 30000 -v",
            "S02",
            False,
        ),
        (
            "data out participant --participant-label S01 --output-spaces MNI152NLin6Asym:res-2 "
            "anat --fs-no-reconall --skip_bids_validation --notrack --stop-on-first-crash",
            "S01",
            False,
        ),
        ("data out --participant-label=S02 participant --random-seed 42 -q", "S02", False),
    ],
)
def test_argument_lists_of_other_apps_are_understood(
    run: Run, line: str, subjects: str, group: bool
) -> None:
    done = run(line)
    expected = [f"sub-{s}_ses-{x}" for s in subjects.split() for x in ("post", "pre")]
    assert done.get("scans", []) == expected
    assert done.get("group", False) == group


def test_sessions_and_filters_choose_scans(run: Run) -> None:
    line = "data out participant --participant-label S01 S02"
    pre = ["sub-S01_ses-pre", "sub-S02_ses-pre"]
    assert run(f"{line} --session-label pre")["scans"] == pre
    assert run(f"{line} --session-label ses-pre post")["scans"][1] == "sub-S01_ses-pre"
    assert run(f"{line} --bids-filter-file filter.json")["scans"] == pre


def test_an_option_without_meaning_is_noted(run: Run) -> None:
    output = run("data out participant --no-sub --mem 8 --skip_bids_validation")["output"]
    assert "--no-sub has no effect: nothing is ever submitted" in output
    assert "--mem has no effect" in output
    assert "the validator is never run" in output


def test_processes_threads_and_temporary_files_are_set(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    monkeypatch.setattr("anomri.models.limit_threads", threads.append)
    assert run("data out participant --nprocs 3 --omp-nthreads 2 -w work")["workers"] == 3
    assert threads == [2]
    assert tempfile.gettempdir() == str(tmp_path / "work")


@pytest.mark.parametrize(
    ("line", "word"), [("data out session", "expected participant or group"), ("data out", "LEVEL")]
)
def test_a_wrong_command_is_refused(run: Run, line: str, word: str) -> None:
    result = CliRunner().invoke(app, ["bids-app", *line.split()])
    assert result.exit_code != 0
    assert word in f"{result.output} {result.exception}"


def test_the_version_needs_no_folders() -> None:
    result = CliRunner().invoke(app, ["bids-app", "--version"])
    assert (result.exit_code, result.output.strip()) == (0, version("anomri"))


# The rules of Boutiques' schema 0.5 that concern this descriptor.
REQUIRED = {"name", "description", "command-line", "schema-version", "inputs", "tool-version"}
TYPES = {"String", "File", "Flag", "Number"}
IDENTIFIER = re.compile(r"[0-9_a-zA-Z]+")


def test_the_boutiques_descriptor_is_valid_and_says_what_the_command_takes() -> None:
    text = files("anomri.cli").joinpath("bids_app.boutiques.json").read_text("utf-8")
    descriptor = json.loads(text)
    assert descriptor.keys() >= REQUIRED
    assert descriptor["schema-version"] == "0.5"
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    assert descriptor["tool-version"] == project["project"]["version"]
    command = typer.main.get_command(app).commands["bids-app"]  # type: ignore[attr-defined]
    flags = {name for parameter in command.params for name in parameter.opts}
    keys = descriptor["command-line"].split()[2:]
    assert [entry["value-key"] for entry in descriptor["inputs"]] == keys
    for entry in descriptor["inputs"]:
        assert entry["type"] in TYPES
        assert IDENTIFIER.fullmatch(entry["id"])
        assert entry.get("command-line-flag", "bids_dir") in flags
        assert not (entry["type"] == "Flag" and entry.get("list"))
    for entry in descriptor["output-files"]:
        assert IDENTIFIER.fullmatch(entry["id"])
        assert any(key in entry["path-template"] for key in keys)


def test_the_descriptor_agrees_with_the_schema_where_boutiques_is_installed() -> None:
    boutiques, jsonschema = (pytest.importorskip(name) for name in ("boutiques", "jsonschema"))
    schema = Path(boutiques.__file__).parent / "schema" / "descriptor.schema.json"
    text = files("anomri.cli").joinpath("bids_app.boutiques.json").read_text("utf-8")
    jsonschema.validate(json.loads(text), json.loads(schema.read_text("utf-8")))
