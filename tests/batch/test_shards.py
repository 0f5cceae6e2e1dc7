"""Parts of a job array: disjoint, stable, and safe in one folder."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from anomri.batch import WHOLE, Shard, all_there, finish, joint
from anomri.batch.shards import notes
from anomri.errors import UsageError
from anomri.files import write_text
from anomri.scan import ScanFiles


def scans(count: int) -> list[ScanFiles]:
    return [
        ScanFiles(subject=f"{number:02d}", contrasts={"flair": Path("x.nii")}, layout="folder")
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 30])
def test_parts_are_disjoint_whole_balanced_and_do_not_depend_on_the_listing(count: int) -> None:
    all_scans = scans(20)
    parts = [Shard(number, count).of(all_scans) for number in range(1, count + 1)]
    labels = [files.label for shard in parts for files in shard]
    assert sorted(labels) == [files.label for files in all_scans]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    turned = Shard(1, count).of(all_scans[::-1])
    assert set(map(id, turned)) == set(map(id, parts[0]))


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "a/b", "1/0", "-1/2"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected i/n"):
        Shard.parse(text)


def write(folder: Path, held: list[dict[str, int]]) -> None:
    write_text(folder / "table", " ".join(str(note["number"]) for note in held))


def work(folder: Path, number: int, count: int) -> None:
    with joint(folder, "detect", Shard(number, count), {"number": number}) as held:
        write(folder, held)


def test_parts_that_finish_together_leave_a_whole_table(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=work, args=(tmp_path, number, 6)) for number in range(1, 7)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert (tmp_path / "table").read_text() == "1 2 3 4 5 6"
    assert all_there(tmp_path, "detect", Shard(3, 6))


def test_a_missing_part_is_known_and_a_last_call_finishes(tmp_path: Path) -> None:
    work(tmp_path, 1, 3)
    work(tmp_path, 3, 3)
    assert not all_there(tmp_path, "detect", Shard(3, 3))
    (tmp_path / "table").unlink()
    finish(tmp_path, {"detect": write, "evaluate": write})
    assert (tmp_path / "table").read_text() == "1 3"


def test_another_division_and_the_whole_supersede_older_parts(tmp_path: Path) -> None:
    work(tmp_path, 1, 3)
    work(tmp_path, 1, 2)
    assert notes(tmp_path, "detect") == [{"number": 1}]
    with joint(tmp_path, "detect", WHOLE, {"number": 9}) as held:
        assert held == [{"number": 9}]
    assert not (tmp_path / ".parts").exists()
