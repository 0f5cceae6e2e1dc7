"""A server in this process that answers like Orthanc, and answers of studies without a network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from anomri.pipeline.orthanc_service.journal import Outcome
from anomri.pipeline.orthanc_service.responder import Answer
from anomri.pipeline.orthanc_service.study_folder import StudyFolder

MAGIC = bytes(128) + b"DICM"
MR = {"Modality": "MR", "Manufacturer": "SIEMENS"}
OWN = {"Modality": "OT", "Manufacturer": "anomri"}
Fault = Callable[[str], "int | bytes | None"]


def orthanc_id(text: str | bytes) -> str:
    """Return an identifier of the form that Orthanc's have."""
    content = text.encode() if isinstance(text, str) else text
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return "-".join(digest[n : n + 8] for n in range(0, 40, 8))


def no_fault(_: str) -> int | bytes | None:
    return None


class FakeOrthanc(ThreadingHTTPServer):
    """Studies, their log of changes, and files that were sent, with counts.

    Attributes:
        studies: tags and images of each series, by study and series.
        stable: studies that are complete.
        uids: StudyInstanceUID of each study.
        changes: type and study of each change.
        stored: how often each file was new.
        login: user and password; asked for where they are set.
        fault: a status or a body to answer with instead, by the place that was asked for.
        asked: places that were asked for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.login = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.studies: dict[str, dict[str, tuple[Mapping[str, str], dict[str, bytes]]]] = {}
        self.stable: set[str] = set()
        self.uids: dict[str, str] = {}
        self.changes: list[tuple[str, str]] = []
        self.stored: Counter[bytes] = Counter()
        self.fault: Fault = no_fault
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, name: str, *series: str, images: int = 2, uid: str = "", **tags: str) -> str:
        """Add a study with series of some images; return its identifier."""
        study = orthanc_id(name)
        for number in series or ("flair",):
            key = orthanc_id(f"{name} {number}")
            files = {
                orthanc_id(f"{key} {n}"): MAGIC + f"{study} {number} {n}".encode()
                for n in range(images)
            }
            self.studies.setdefault(study, {})[key] = ({**MR, **tags}, files)
        self.uids[study] = uid or f"1.2.{len(self.uids)}"
        self.complete(study, "NewStudy")
        return study

    def complete(self, study: str, kind: str = "StableStudy") -> None:
        """Write a change of a study to the log."""
        self.stable.add(study)
        self.changes.append((kind, study))

    def receive(self, body: bytes) -> dict[str, str]:
        """Store a file, which names its study after the magic."""
        study, name = body.removeprefix(MAGIC).decode().split(" ", 1)
        held = self.studies[study].setdefault(orthanc_id(f"own {study}"), (OWN, {}))[1]
        is_new = orthanc_id(name) not in held
        held[orthanc_id(name)] = body
        if is_new:
            self.stored[body] += 1
            self.complete(study)
        status = "Success" if is_new else "AlreadyStored"
        return {"ID": orthanc_id(name), "Status": status, "ParentStudy": study}

    def answer(self, place: str, body: bytes) -> Any:
        """Return what Orthanc answers: JSON, bytes, or None for nothing there."""
        path, _, query = place.partition("?")
        if path == "/system":
            return {"ApiVersion": 16, "Version": "1.10.1"}
        if path == "/changes":
            return self._changes(query)
        if path == "/tools/lookup":
            found = [study for study, uid in self.uids.items() if uid == body.decode()]
            return [{"ID": study, "Path": "", "Type": "Study"} for study in found]
        if path == "/instances":
            return self.receive(body)
        if path == "/test/reset":
            self.reset()
            return self.add("a")
        if path == "/test/state":
            return list(self.stored.values())
        return self._resource(*path.strip("/").split("/"))

    def _changes(self, query: str) -> Any:
        if query == "last":
            return {"Changes": [], "Done": True, "Last": len(self.changes)}
        since = int(re.findall(r"since=(\d+)", query)[0])
        new = self.changes[since : since + 3]
        rows = [{"ChangeType": kind, "ID": study, "Seq": 0} for kind, study in new]
        last = since + len(new)
        return {"Changes": rows, "Done": last >= len(self.changes), "Last": last}

    def _resource(self, kind: str, name: str, part: str = "") -> Any:
        if kind == "studies" and name in self.studies:
            if not part:
                tags = {"StudyInstanceUID": self.uids[name]}
                return {"ID": name, "IsStable": name in self.stable, "MainDicomTags": tags}
            return [
                {"ID": key, "MainDicomTags": tags, "Instances": list(images)}
                for key, (tags, images) in self.studies[name].items()
            ]
        for series in self.studies.values():
            for header, files in series.values():
                if kind == "instances" and name in files:
                    return files[name] if part == "file" else {**header, "Nested": []}
        return None


class _Handler(BaseHTTPRequestHandler):
    server: FakeOrthanc
    wbufsize = -1  # an answer in one piece: its second part would wait 40 ms for an acknowledgement

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body, fake = self.rfile.read(length), self.server
        fake.asked.append(self.path)
        login = base64.b64encode(fake.login.encode()).decode()
        if fake.login and self.headers.get("Authorization") != f"Basic {login}":
            self._reply(401, b"")
            return
        fault = fake.fault(self.path)
        if isinstance(fault, int):
            self._reply(fault, b"secret words of the server")
            return
        found = fake.answer(self.path, body) if fault is None else fault
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        self._reply(404 if found is None else 200, content)

    do_POST = do_GET  # noqa: N815 - the name that http.server asks for

    def _reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


connect = sqlite3.connect


def unflushed(*values: Any, **options: Any) -> sqlite3.Connection:
    """Open a database that the operating system writes when it likes: no test cuts the power."""
    database: sqlite3.Connection = connect(*values, **options)
    with suppress(sqlite3.Error):  # a damaged one
        database.execute("PRAGMA synchronous = OFF")
    return database


@pytest.fixture(autouse=True)
def journal_without_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", unflushed)


@pytest.fixture
def fake() -> Iterator[FakeOrthanc]:
    with FakeOrthanc() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class FakeResponder:
    """Answers with two objects made from the images, or with the words of a refusal.

    Attributes:
        detected: studies that it looked at, with the number of their images.
        meanwhile: called while it looks.
    """

    def __init__(self) -> None:
        self.detected: list[tuple[str, int]] = []
        self.refusals: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.unwanted = ""

    def wants(self, tags: Mapping[str, str]) -> bool:
        return not self.unwanted or tags.get("BodyPartExamined") != self.unwanted

    def detect(self, study: StudyFolder, answer: Path) -> Answer:
        contents = [path.read_bytes() for path in sorted(study.images.glob("*"))]
        self.detected.append((study.path.name, len(contents)))
        self.meanwhile()
        digest = hashlib.sha256(b"".join(contents)).hexdigest()
        for kind in ("seg", "sc"):
            content = MAGIC + f"{study.path.name} {kind} {digest}".encode()
            (answer / f"{kind}.dcm").write_bytes(content)
        return Answer(Outcome.DONE, 0, "1 lesion")

    def refuse(
        self, study: StudyFolder, answer: Path, reason: str, next_step: str, exit_code: int
    ) -> Answer:
        assert next(study.images.glob("*.dcm")).read_bytes()
        assert next_step
        self.refusals.append(reason)
        content = MAGIC + f"{study.path.name} refusal {reason}".encode()
        (answer / "refusal.dcm").write_bytes(content)
        return Answer(Outcome.REFUSED, exit_code, reason)


@pytest.fixture
def responder() -> FakeResponder:
    return FakeResponder()
