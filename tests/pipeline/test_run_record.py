from __future__ import annotations

import json
from pathlib import Path

from anomri.pipeline.run_record import write_run


def test_the_run_tells_no_folder_of_the_machine(tmp_path: Path) -> None:
    command = ["anomri", "detect", "/home/me/private/a.nii.gz", "--out=/home/me/x", "C:\\u\\b"]
    write_run(tmp_path, command, device="cpu")
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["command"] == "anomri detect a.nii.gz --out=x b"
    assert run["device"] == "cpu"
    assert run["versions"]["anomri"]
