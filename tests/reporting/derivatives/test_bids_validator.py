"""What is written is BIDS derivatives, says the official validator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anomri.files import REFUSAL_PICTURE
from anomri.pipeline.run_record import write_run
from anomri.reporting import write_detection, write_tables
from anomri.scan import Detection, Scan


def validator() -> str:
    """Return the validator's program, or skip; `bids-validator` of PyPI looks at names only."""
    beside = Path(sys.executable).with_name("bids-validator-deno")
    found = str(beside) if beside.is_file() else shutil.which("bids-validator-deno")
    if found is None:
        pytest.skip("the BIDS validator (bids-validator-deno) is not here")
    return found


def issues(folder: Path) -> list[tuple[str, str]]:
    done = subprocess.run(
        [validator(), str(folder), "--json"], capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout)["issues"]["issues"]
    return [(i["code"], i["location"]) for i in found if i["severity"] == "error"]


def test_the_validator_accepts_what_is_written(
    tmp_path: Path, ball_scan: Scan, detect_bright: Callable[[Scan], Detection]
) -> None:
    for label, entities in (("sub-01", ""), ("sub-02_ses-a", "acq-3D_run-1")):
        scan = replace(ball_scan, label=label, entities=entities)
        found = detect_bright(scan)
        write_detection(replace(found, regions=found.mask.astype(np.uint8)), tmp_path)
    write_tables(tmp_path, [])
    write_run(tmp_path, ["anomri"])
    (tmp_path / "report.html").write_text("page")
    refused = tmp_path / "sub-03" / "anat" / f"sub-03_{REFUSAL_PICTURE}"
    refused.parent.mkdir(parents=True)
    refused.write_bytes(b"picture")
    described = json.loads((tmp_path / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"
    assert described["GeneratedBy"][0]["Name"] == "anomri"
    assert issues(tmp_path) == []
    # It does look: a name with its entities in the wrong order is refused.
    mask = next(tmp_path.glob("sub-01/anat/*lesion_mask.nii.gz"))
    mask.rename(mask.with_name("label-lesion_sub-01_mask.nii.gz"))
    assert issues(tmp_path)
