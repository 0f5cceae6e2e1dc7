"""Atomic writing of files and folders, and removal of stale drafts."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from anomri.errors import AnomriError, DiskFull, NotWritable, OutputGone
from anomri.files import (
    content_digest,
    newest,
    private_temporary_files,
    remove_stale_drafts,
    replacing,
    replacing_folder,
    replacing_together,
    scratch_folder,
    unchanged_stamp,
    write_bytes,
    write_text,
)
from anomri.files.atomic import DRAFT, draft_name
from anomri.files.processes import is_alive, machine_id, start_time_ms


def dead() -> tuple[int, int]:
    """Number and start of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    start = start_time_ms(process.pid)
    assert start
    process.communicate(b"\n")
    return process.pid, start


def fill(folder: Path, word: str) -> None:
    with replacing_folder(folder) as draft:
        for name in "ab":
            (draft / name).write_text(word)


def fill_often(folder: Path, word: str) -> None:
    for _ in range(40):
        fill(folder, word)


def write_where_it_is_removed(folder: Path) -> None:
    with replacing(folder / "a.tsv"):
        folder.rmdir()


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Let every rename fail with an error of the operating system."""

    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        patch.setattr(Path, "rename", fails)
        yield


def test_a_folder_is_replaced_with_its_contents(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "older").touch()
    fill(tmp_path / "home", "new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "home"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    fill(tmp_path / "home", "old")
    with pytest.raises(UnicodeEncodeError):
        fill(tmp_path / "home", "\ud800")
    assert (tmp_path / "home" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_concurrent_writers_leave_the_folder_of_one(tmp_path: Path) -> None:
    jobs = [
        threading.Thread(target=fill_often, args=(tmp_path / "home", word))
        for word in ("one", "two")
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    words = {path.read_text() for path in (tmp_path / "home").iterdir()}
    assert words in ({"one"}, {"two"})
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def fill_together(folder: Path, word: str) -> None:
    with replacing_together(folder) as draft:
        for name in "ab":
            (draft / name).write_text(word)


@pytest.mark.parametrize("last", range(5))
def test_files_that_belong_together_are_the_old_or_the_new_ones_at_any_kill(
    last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, rename, replace = 0, Path.rename, Path.replace

    def killed(move: Callable[[Path, Path], Path], path: Path, target: Path) -> Path:
        nonlocal done
        if done == last:
            raise KeyboardInterrupt
        done += 1
        return move(path, target)

    fill_together(tmp_path, "old")
    (tmp_path / "other").write_text("kept")
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "rename", lambda path, target: killed(rename, path, target))
        patch.setattr(Path, "replace", lambda path, target: killed(replace, path, target))
        fill_together(tmp_path, "new")
    assert done == min(last, 3)  # the folder and two files
    words = {newest(tmp_path / name).read_text() for name in "ab"}
    assert words == ({"old"} if last == 0 else {"new"})
    fill_together(tmp_path, "newer")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a": "newer",
        "b": "newer",
        "other": "kept",
    }


def test_only_drafts_of_dead_processes_are_removed(tmp_path: Path) -> None:
    process, start = dead()
    stale = tmp_path / "sub-01" / f"{DRAFT}{machine_id()}-{process}-{start}-0"
    reused = tmp_path / f"{DRAFT}{machine_id()}-{os.getpid()}-1000-0"  # this number, another start
    kept = {
        tmp_path / draft_name(),
        tmp_path / f"{DRAFT}notes",  # somebody else's
        tmp_path / f"{DRAFT}elsewhere-{process}-{start}-0",
    }
    (stale / "new").mkdir(parents=True)
    for path in (reused, *kept):
        path.touch()
    remove_stale_drafts(tmp_path)
    assert set(tmp_path.iterdir()) == {tmp_path / "sub-01", *kept}
    assert list((tmp_path / "sub-01").iterdir()) == []


def test_drafts_of_another_machine_are_removed_after_a_day(tmp_path: Path) -> None:
    draft = tmp_path / f"{DRAFT}elsewhere-1-1-0"
    draft.mkdir()
    (draft / "a").touch()
    for path in (draft / "a", draft):
        os.utime(path, (0, 0))
    remove_stale_drafts(tmp_path)
    assert not draft.exists()


def test_a_link_named_like_a_draft_is_removed_without_its_target(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "scan").touch()
    process, start = dead()
    (tmp_path / f"{DRAFT}{machine_id()}-{process}-{start}-0").symlink_to(tmp_path / "precious")
    remove_stale_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious" / "scan").is_file()


def test_a_process_is_identified_by_its_start_time() -> None:
    process, start = dead()
    assert not is_alive(process, start)
    own_start = start_time_ms(os.getpid())
    assert own_start
    assert is_alive(os.getpid(), own_start)
    assert not is_alive(os.getpid(), own_start - 60_000)


def test_temporary_files_of_dead_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process, start = dead()
    (tmp_path / f"anomri-{machine_id()}-{process}-{start}-0").mkdir()
    with scratch_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, DiskFull, 1),
        (errno.EDQUOT, DiskFull, 1),
        (errno.EFBIG, DiskFull, 1),
        (errno.EROFS, NotWritable, 2),
        (errno.EACCES, NotWritable, 2),
    ],
)
def test_an_unwritable_folder_is_reported_and_the_old_file_kept(
    number: int,
    kind: type[AnomriError],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_text(tmp_path / "a.tsv", "old")
    with refusing(monkeypatch, number), pytest.raises(kind, match=r"a\.tsv") as raised:
        write_text(tmp_path / "a.tsv", "new")
    with refusing(monkeypatch, number), pytest.raises(kind, match="home"):
        fill(tmp_path / "home", "new")
    assert raised.value.exit_code == code
    assert "Next: " in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]
    assert (tmp_path / "a.tsv").read_text() == "old"


def test_a_folder_removed_in_the_meantime_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputGone, match="removed"):
        write_where_it_is_removed(tmp_path / "out")


def test_an_unreadable_input_is_not_blamed_on_the_output_folder(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), replacing_folder(tmp_path / "home"):
        raise PermissionError(errno.EACCES, "denied", "slice.dcm")


def test_a_replaced_file_of_equal_name_size_and_time_has_another_stamp(tmp_path: Path) -> None:
    scan, other = tmp_path / "flair.nii", tmp_path / "other.nii"
    write_bytes(scan, b"one")
    before = scan.stat()
    stamp, content = unchanged_stamp([scan]), content_digest([scan])
    write_bytes(other, b"two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(scan)
    after = scan.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert unchanged_stamp([scan]) != stamp
    assert content_digest([scan]) != content
    # Written over, in place, and the time set back.
    stamp = unchanged_stamp([scan])
    scan.write_bytes(b"six")
    os.utime(scan, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert unchanged_stamp([scan]) != stamp
    assert unchanged_stamp([scan]) == unchanged_stamp([scan])


def test_temporary_files_of_a_block_are_gone_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = list(tmp_path.iterdir())
    with private_temporary_files():
        tempfile.mkdtemp()
        subprocess.run([sys.executable, "-c", "import tempfile; tempfile.mkdtemp()"], check=True)
    assert list(tmp_path.iterdir()) == before
    assert os.environ["TMPDIR"] == str(tmp_path)
    assert tempfile.gettempdir() == str(tmp_path)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets there")
def test_other_processes_can_be_met_however_long_the_name_of_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (long := tmp_path / ("x" * 90)).mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = "from multiprocessing.connection import Listener; Listener(None, 'AF_UNIX').close()"
    with private_temporary_files():
        folder = Path(os.environ["TMPDIR"])
        subprocess.run([sys.executable, "-c", code], check=True)
    assert not folder.exists()
    assert list(long.iterdir()) == []
