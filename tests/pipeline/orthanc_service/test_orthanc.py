"""`anomri serve` with a real Orthanc on the loopback."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from anomri.cli import app
from anomri.errors import UsageError

highdicom = pytest.importorskip("highdicom", reason="the extra anomri[dicom] is not here")
pytest.importorskip("dcm2niix", reason="the extra anomri[dicom] is not here")

MakeSeries = Callable[..., list[Path]]
# Debian's package puts it where a user's PATH need not lead.
PROGRAM = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
USER, PASSWORD = "anomri", "s3cret"
SECRETS = ("Zyxwvut", "Quentin", "77431", "19510317", PASSWORD)
LATER, SOON = 60, 1  # seconds until a study is stable

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not here: install orthanc")


class RealOrthanc:
    """An Orthanc with a configuration of its own in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self, stable_age: int) -> Iterator[None]:
        """Start it, and end it afterwards; what it stores stays."""
        settings = {
            "StorageDirectory": str(self.folder / "store"),
            "IndexDirectory": str(self.folder / "store"),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "StableAge": stable_age,
            "Plugins": [],
        }
        (self.folder / "orthanc.json").write_text(json.dumps(settings))
        command = [str(PROGRAM), str(self.folder / "orthanc.json")]
        with (
            (self.folder / "log").open("ab") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as process,
        ):
            try:
                self._wait(process)
                yield
            finally:
                process.terminate()
                process.wait(30)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            try:
                self.get("/system")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def get(self, place: str, data: bytes | None = None) -> Any:
        """Return an answer: JSON or bytes."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": "*/*"}
        request = urllib.request.Request(f"{self.url}{place}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: bytes = answer.read()
            is_json = answer.headers.get_content_type() == "application/json"
        return json.loads(content) if is_json else content

    def objects(self) -> dict[int, list[bytes]]:
        """Return the files that anomri made, by the number of their series."""
        found: dict[int, list[bytes]] = {}
        for series in self.get("/series?expand"):
            tags = series["MainDicomTags"]
            if tags.get("Manufacturer") == "anomri":
                files = [self.get(f"/instances/{name}/file") for name in series["Instances"]]
                found.setdefault(int(tags["SeriesNumber"]), []).extend(files)
        return found

    def serve(self, work: Path, *words: str, password: str = PASSWORD) -> Any:
        """Run `anomri serve --once`."""
        environment = {"ANOMRI_ORTHANC_USER": USER, "ANOMRI_ORTHANC_PASSWORD": password}
        command = ["serve", "--orthanc", self.url, "--once", "--work-dir", str(work), *words]
        return CliRunner().invoke(app, [*command, "--model", "intensity"], env=environment)


def test_studies_are_answered_in_their_own_study(
    tmp_path: Path, make_series: MakeSeries, head: np.ndarray
) -> None:
    orthanc, work = RealOrthanc(tmp_path), tmp_path / "work"
    images = make_series(tmp_path / "in", head, study=1, SeriesDescription="t2 flair")
    images += make_series(tmp_path / "in2", head[:9], study=2, SeriesDescription="t1 mprage")
    with orthanc.running(LATER):
        for path in images:
            orthanc.get("/instances", path.read_bytes())
        assert isinstance(orthanc.serve(work, password="0ther").exception, UsageError)
        arriving = orthanc.serve(work)
        assert (arriving.exit_code, "2 still arriving" in arriving.output) == (0, True)
    # Orthanc forgets that it has not called them stable.
    with orthanc.running(SOON):
        result = orthanc.serve(work, "--dicom", "seg,sr,sc,pm")
        assert result.exit_code == 3, result.output
        assert "1 done, 1 refused" in result.output
        objects = orthanc.objects()
        assert {number: len(files) for number, files in objects.items()} == {
            9000: 1, 9001: 1, 9002: 1, 9003: 1, 9004: 1,
        }  # fmt: skip
        segmentation = highdicom.seg.segread(io.BytesIO(objects[9000][0]))
        volume = segmentation.get_volume(combine_segments=True)
        points = volume.map_indices_to_reference(np.argwhere(volume.array))
        np.testing.assert_allclose(points.mean(axis=0), [80, 100, 90], atol=2.0)
        assert len(orthanc.get("/studies")) == 2
        assert_previews(orthanc)
        wait_for_answers_to_be_stable(orthanc)
        again = orthanc.serve(work)
        assert (again.exit_code, "no new study" in again.output) == (0, True)
    told = result.output + arriving.output + again.output
    left = [path for path in work.rglob("*") if path.is_file()]
    told += "".join(path.read_bytes().decode("latin1") + path.name for path in left)
    assert not [secret for secret in SECRETS if secret in told]
    assert {path.suffix for path in left} <= {".sqlite", ""}


def assert_previews(orthanc: RealOrthanc) -> None:
    """Let Orthanc's own viewer draw the pictures and the segmentation."""
    for series in orthanc.get("/series?expand"):
        if series["MainDicomTags"].get("SeriesNumber") in ("9000", "9002", "9004"):
            drawn = orthanc.get(f"/instances/{series['Instances'][0]}/preview")
            assert drawn.startswith(b"\x89PNG")


def wait_for_answers_to_be_stable(orthanc: RealOrthanc) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        changes = orthanc.get("/changes?limit=1000")["Changes"]
        if sum(change["ChangeType"] == "StableStudy" for change in changes) == 2:
            return
        time.sleep(0.1)
    raise AssertionError("the studies did not become stable")
