"""What the service does with studies, outages, odd answers and other services."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from anomri.errors import DamagedFile, DiskFull, ServerUnreachable, UsageError
from anomri.pipeline import Orthanc, Schedule, serve
from anomri.pipeline.orthanc_service import Served
from anomri.pipeline.orthanc_service.journal import SCHEMA, Journal, Outcome

NAME = "Doe^Jane"  # of a patient
Fake = Any  # FakeOrthanc of conftest.py
Responder = Any


class Stopped(Exception):
    """Ends a service that would run for ever."""


def run(fake: Fake, responder: Responder, work: Path, **schedule: Any) -> Served:
    values = {"once": True, "sleep": lambda _: None, **schedule}
    return serve(Orthanc(fake.url), responder, work, Schedule(**values))


def test_a_study_is_answered_once(fake: Fake, responder: Responder, tmp_path: Path) -> None:
    studies = [fake.add(name, "flair", "t1") for name in ("a", "b", "c", "d", "e")]
    fake.add("a", "ct", Modality="CT")
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE] * 5
    assert responder.detected == [(study, 4) for study in studies]
    assert set(fake.stored.values()) == {1}
    assert len(fake.stored) == 10
    assert list((tmp_path / "studies").iterdir()) == []
    # The answers have made the studies change.
    assert run(fake, responder, tmp_path).outcomes == []
    assert len(responder.detected) == 5


def test_a_study_that_gets_another_series_is_answered_again(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    fake.add("a", "flair")
    run(fake, responder, tmp_path)
    study = fake.add("a", "t1ce")
    run(fake, responder, tmp_path)
    assert responder.detected == [(study, 2), (study, 4)]
    assert len(fake.stored) == 4


def test_a_study_that_changes_meanwhile_is_not_answered_before_it_is_complete(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    study = fake.add("a", "flair")

    def more() -> None:
        if len(responder.detected) == 1:
            fake.add("a", "t1ce")
            fake.stable.discard(study)

    responder.meanwhile = more
    assert run(fake, responder, tmp_path).outcomes == []
    assert not fake.stored
    served = run(fake, responder, tmp_path)
    assert (served.outcomes, served.arriving) == ([], 1)
    fake.complete(study)
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]
    assert responder.detected == [(study, 2), (study, 4)]
    assert len(fake.stored) == 2


def test_an_answer_that_was_not_sent_is_not_taken_for_one_of_other_images(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    study = fake.add("a", "flair")
    fake.fault = lambda place: 503 if place == "/instances" else None
    with pytest.raises(ServerUnreachable):
        run(fake, responder, tmp_path)
    fake.add("a", "t1ce")
    responder.meanwhile = full
    with pytest.raises(DiskFull):
        run(fake, responder, tmp_path)
    del fake.studies[study][list(fake.studies[study])[1]]
    responder.meanwhile, fake.fault = (lambda: None), (lambda _: None)
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]
    assert [images for _, images in responder.detected] == [2, 4, 2]
    assert len(fake.stored) == 2


def test_a_fault_of_the_program_concerns_its_study_alone(
    fake: Fake, responder: Responder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bad", "good"):
        fake.add(name)

    def fault() -> None:
        if responder.detected[-1][0] == next(iter(fake.studies)):
            raise ValueError(f"a name of {NAME}")

    responder.meanwhile = fault
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]
    assert run(fake, responder, tmp_path).exit_code == 0
    assert run(fake, responder, tmp_path).outcomes == [Outcome.FAILED]
    assert run(fake, responder, tmp_path).outcomes == []
    assert "unexpected ValueError" in caplog.text
    assert "in fault" in caplog.text
    assert NAME not in caplog.text


def test_studies_that_are_not_meant_are_left_alone(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    fake.add("knee", BodyPartExamined="KNEE")
    fake.add("ct", Modality="CT")
    fake.add("own", Manufacturer="anomri")
    responder.unwanted = "KNEE"
    served = run(fake, responder, tmp_path)
    assert served.outcomes == []
    assert not fake.stored
    assert not [place for place in fake.asked if place.endswith("/file")]


def test_existing_studies_can_be_skipped(fake: Fake, responder: Responder, tmp_path: Path) -> None:
    fake.add("old")
    assert run(fake, responder, tmp_path, skip_existing=True).outcomes == []
    new = fake.add("new")
    run(fake, responder, tmp_path, skip_existing=True)
    assert [study for study, _ in responder.detected] == [new]


def test_a_study_of_two_patients_is_refused(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    for patient in ("first", "second"):
        fake.add(patient, uid="1.2.3")
    served = run(fake, responder, tmp_path)
    assert served.outcomes == [Outcome.REFUSED] * 2
    assert served.exit_code == 3
    assert all("one patient" in reason for reason in responder.refusals)


def test_a_study_that_ends_the_process_is_refused_in_the_end(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    study = fake.add("a")
    run(fake, responder, tmp_path, skip_existing=True)
    fake.complete(study)
    journal = Journal(tmp_path, fake.url)
    journal.note([study], 1)
    for _ in range(3):
        journal.begin(study)
    journal.close()
    assert run(fake, responder, tmp_path).outcomes == [Outcome.REFUSED]
    assert "was killed 3 times" in responder.refusals[0]


def test_a_study_that_is_deleted_meanwhile_is_forgotten(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    study = fake.add("a")
    responder.meanwhile = lambda: fake.studies.pop(study) and None
    run(fake, responder, tmp_path)
    run(fake, responder, tmp_path)
    journal = Journal(tmp_path, fake.url)
    assert journal.unfinished() == []
    journal.close()
    assert list((tmp_path / "studies").iterdir()) == []


def test_an_outage_is_waited_for_and_said_once(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    fake.add("a")
    lines: list[str] = []
    waits: list[float] = []
    places: list[str] = []

    def away(place: str) -> int | None:
        places.append(place)
        return 503 if 6 < len(places) < 11 else None

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            raise Stopped

    fake.fault = away
    with pytest.raises(Stopped):
        run(fake, responder, tmp_path, once=False, sleep=sleep, announce=lines.append)
    assert waits == [1, 2, 4, 8, 10, 10]
    assert sum("does not answer" in line for line in lines) == 1
    assert sum("answers again" in line for line in lines) == 1
    assert len(fake.stored) == 2
    assert set(fake.stored.values()) == {1}


def test_one_look_ends_where_nothing_answers(responder: Responder, tmp_path: Path) -> None:
    server, waits = Orthanc("http://127.0.0.1:9"), list[float]()
    with pytest.raises(ServerUnreachable, match=r"127.0.0.1:9: expected an answer.*Next: "):
        serve(server, responder, tmp_path, Schedule(once=True, sleep=waits.append))
    assert waits == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("/studies/", b"[]"),
        ("/studies/", b"{"),
        ("/studies/", b'{"ID": "../../etc", "IsStable": true, "MainDicomTags": {}}'),
        ("/file", b"<html>maintenance</html>"),
        ("/file", b""),
        ("/simplified-tags", b"[" * 100_000),
        ("/file", 500),
    ],
)
def test_an_answer_that_makes_no_sense_fails_its_study_alone(
    place: str,
    body: bytes | int,
    fake: Fake,
    responder: Responder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad, good = fake.add("bad"), fake.add("good")
    images = {image for _, held in fake.studies[good].values() for image in held}

    def fault(asked: str) -> int | bytes | None:
        of_good = good in asked or any(image in asked for image in images)
        return None if of_good or place not in asked else body

    fake.fault = fault
    served = [run(fake, responder, tmp_path) for _ in range(4)]
    codes = [one.exit_code for one in served]
    assert [one.postponed for one in served] == [1, 1, 0, 0]
    given_up = [line for line in caplog.messages if "given up after 3 attempts" in line]
    assert [line.split()[1] for line in given_up] == [f"{bad}:"]
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        failed = journal.execute("SELECT study, reason FROM studies WHERE outcome = 'failed'")
        assert [f"study {study}: {reason}" for study, reason in failed] == given_up
    assert codes[2:] == [3, 0]
    assert [study for study, _ in responder.detected] == [good]
    fake.fault = lambda _: None
    fake.complete(bad)
    run(fake, responder, tmp_path)
    assert set(fake.stored.values()) == {1}
    assert len(fake.stored) == 4
    assert "secret words" not in caplog.text


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        ("/tools/lookup", "null"),
        ("/instances", '{"Status": "FilteredOut", "ParentStudy": "STUDY"}'),
        ("/instances", f'{{"Status": "Success", "ParentStudy": "{"-".join(["0" * 8] * 5)}"}}'),
        ("/instances", "{"),
    ],
)
def test_a_result_that_is_not_stored_is_a_failure(
    place: str, answer: str, fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    study = fake.add("a")
    body = answer.replace("STUDY", study).encode()
    fake.fault = lambda asked: body if asked == place else None
    assert [run(fake, responder, tmp_path).exit_code for _ in range(4)] == [0, 0, 3, 0]
    fake.fault = lambda _: None
    fake.complete(study)
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"Changes": [], "Done": false, "Last": 0}',
        b'{"Changes": [{"ChangeType": "NewStudy", "ID": "../x"}], "Done": true, "Last": 9}',
    ],
)
def test_a_log_of_changes_that_makes_no_sense_is_an_outage(
    body: bytes, fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    fake.add("a")
    broken = [True]
    fake.fault = lambda place: body if broken and "since" in place else None
    run(fake, responder, tmp_path, sleep=lambda _: broken.clear())
    assert len(fake.stored) == 2


def test_a_server_that_begins_anew_is_read_from_its_start(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        fake.add(name)
    run(fake, responder, tmp_path)
    fake.reset()
    fake.add("d")
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]


@pytest.mark.parametrize(
    ("fault", "words"),
    [(401, "ANOMRI_ORTHANC_USER"), (403, "ANOMRI_ORTHANC_USER"), (302, "redirection")],
)
def test_who_is_not_let_in_is_told_so(
    fault: int, words: str, fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    fake.fault = lambda _: fault
    with pytest.raises(UsageError, match=words):
        run(fake, responder, tmp_path)


def test_another_server_is_told_apart(fake: Fake, responder: Responder, tmp_path: Path) -> None:
    fake.fault = lambda _: b"<html>"
    with pytest.raises(UsageError, match="the REST interface of an Orthanc"):
        run(fake, responder, tmp_path)


def test_a_password_is_used_and_never_said(
    fake: Fake, responder: Responder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.login = "ada:s3cret"
    fake.add("a")
    schedule = Schedule(once=True)
    right = Orthanc(fake.url, user="ada", password="s3cret")
    assert serve(right, responder, tmp_path, schedule).outcomes == [Outcome.DONE]
    wrong = Orthanc(fake.url, user="ada", password="0ther")
    with pytest.raises(UsageError) as refused:
        serve(wrong, responder, tmp_path, schedule)
    told = f"{refused.value}{caplog.text}{right}{wrong}{right.__dict__ != {}}"
    told += "".join(path.read_bytes().decode("latin1") for path in tmp_path.glob("*.sqlite*"))
    assert "s3cret" not in told
    assert "0ther" not in told


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8042",
        "ftp://a",
        "file:///etc",
        "http://ada:s3cret@a",
        "http://a/?x",
        "http://a:b",
    ],
)
def test_an_address_is_checked(url: str) -> None:
    with pytest.raises(UsageError, match=r"--orthanc: .*Next: ") as refused:
        Orthanc(url)
    assert "s3cret" not in str(refused.value)


def test_two_services_do_not_share_a_folder(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    fake.add("a")

    def another() -> None:
        with pytest.raises(UsageError, match="another `anomri serve` uses it"):
            run(fake, responder, tmp_path)

    responder.meanwhile = another
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]


def test_a_journal_is_of_one_server(fake: Fake, responder: Responder, tmp_path: Path) -> None:
    run(fake, responder, tmp_path)
    with pytest.raises(UsageError, match="whose studies this journal holds"):
        Journal(tmp_path, "http://127.0.0.1:1")


def test_a_journal_of_the_first_version_goes_on(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    study = fake.add("a")
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        journal.executescript(SCHEMA)
        journal.execute("INSERT INTO server VALUES (?, 0)", (fake.url,))
        journal.execute("INSERT INTO studies (study, step) VALUES (?, 'waiting')", (study,))
        journal.execute("PRAGMA user_version = 1")
        journal.commit()
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]
    assert run(fake, responder, tmp_path).outcomes == []


def test_a_damaged_journal_is_named(fake: Fake, responder: Responder, tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(DamagedFile, match=r"journal\.sqlite: .*Next: move the work folder away"):
        run(fake, responder, tmp_path)


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a file")


@pytest.mark.parametrize("when", ["download", "detect"])
def test_a_full_disk_ends_the_service_and_loses_nothing(
    when: str,
    fake: Fake,
    responder: Responder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake.add("a")
    with monkeypatch.context() as patch:
        if when == "download":
            patch.setattr(Orthanc, "_copy", full)
        else:
            responder.meanwhile = full
        with pytest.raises(DiskFull):
            run(fake, responder, tmp_path)
    responder.meanwhile = lambda: None
    assert not list(tmp_path.rglob(".writing-*"))
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]


def test_an_image_that_breaks_off_is_an_outage(
    fake: Fake, responder: Responder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("a")
    whole: Callable[..., bytes] = Orthanc._read
    broken = [True]

    def read(self: Orthanc, answer: Any, size: int) -> bytes:
        content = whole(self, answer, size)
        return content[:-1] if broken and content.startswith(bytes(128)) else content

    monkeypatch.setattr(Orthanc, "_read", read)
    run(fake, responder, tmp_path, sleep=lambda _: broken.clear())
    assert responder.refusals == []
    assert len(fake.stored) == 2


def test_only_the_owner_reads_what_is_downloaded(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    study = fake.add("a")
    modes: list[int] = []
    folder = tmp_path / "work" / "studies" / study
    responder.meanwhile = lambda: modes.append(folder.stat().st_mode & 0o777)
    run(fake, responder, tmp_path / "work")
    assert modes == [0o700]


def test_images_larger_than_the_limit_are_refused(
    fake: Fake, responder: Responder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("a", images=40)
    monkeypatch.setenv("ANOMRI_MAX_IMAGE_GB", f"{300 / (1 << 30)}")
    assert run(fake, responder, tmp_path).outcomes == [Outcome.REFUSED]
    assert "GB of MR images, got more" in responder.refusals[0]


def test_a_signal_leaves_no_mark_of_a_kill(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    study = fake.add("a")

    def signal() -> None:
        raise KeyboardInterrupt

    responder.meanwhile = signal
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            run(fake, responder, tmp_path)
    responder.meanwhile = lambda: None
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]
    assert fake.asked.count(f"/studies/{study}") == 5


def test_a_folder_of_somebody_else_is_left_alone(
    fake: Fake, responder: Responder, tmp_path: Path
) -> None:
    other = tmp_path / "studies" / "sub-01" / "scan.nii"
    other.parent.mkdir(parents=True)
    other.touch()
    left = tmp_path / "studies" / fake.add("a")
    left.mkdir()
    fake.reset()
    run(fake, responder, tmp_path)
    assert other.is_file()
    assert not left.exists()


def test_no_proxy_is_used(
    fake: Fake, responder: Responder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    fake.add("a")
    assert run(fake, responder, tmp_path).outcomes == [Outcome.DONE]
