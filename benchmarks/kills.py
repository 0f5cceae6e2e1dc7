"""Kill commands at their file-system events; the next run must end as if nothing had been.

    python benchmarks/kills.py SCRATCH [--kills 16] [--commands prepare,train,...]

Each command first runs undisturbed: that counts its events below the output folder (files opened to
write, folders made, renames, removals) and gives the reference. Then it is started again and again,
ends itself at one of them with SIGKILL, and is run once more. What the kill leaves must be
readable; the second run must end with 0, leave the files of the reference, no draft, and no
temporary file besides those of the undisturbed run. Nothing but the wall clock may differ.

The program is imported once and forked for every run, its scans are digital phantoms of 6 mm, and
`demo` and `train-lesions` are reduced to seconds: what is tried is the order of writes, which
depends on none of these.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import nibabel as nib
import numpy as np

from anomri import experiments
from anomri.cli import main as anomri
from anomri.experiments import LesionTrainingSchedule
from anomri.files import write_tsv
from anomri.files.atomic import DRAFT
from anomri.pipeline import demonstration
from anomri.recipe import Recipe
from anomri.synthesis import make_phantoms

EVENTS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TIMED = ("seconds", "stamp", "mtime_ns")
ENDS = {".html": b"</html>", ".png": b"IEND\xaeB`\x82"}
RECIPE = """\
name: tiny
contrasts: [flair]
preparation: {spacing_mm: [8.0, 8.0, null], shape: [24, 32, null], intensity: zscore}
family: {vae: {reconstruction: l1, kl_weight: 0.1}}
training: {batch_size: 8, learning_rate: 0.002, max_epochs: 3, slab_mm: 60, augmentation: {}}
detection:
  score: {residual: {sign: signed}}
  clean: [standardise]
  threshold: healthy
  decide: above
  refine: [fill_holes]
"""
PROTOCOL = """\
paper: Three epochs
train: [{folder: phantoms, split: train}]
test: [{name: phantoms, sources: [{folder: phantoms, split: test}]}]
"""
COMPARISON = """\
title: One network and none
rule: all there are
baseline: intensity
candidate: intensity
groups:
  - {name: no network, about: none, rows: [intensity]}
  - {name: tiny, about: phantoms, paper: paper, rows: [tiny]}
test: [{name: tumours, about: drawn, sources: [{folder: phantoms, split: test}]}]
"""
SHORT = LesionTrainingSchedule(
    steps=4,
    validation_interval=2,
    uses=2,
    batch=1,
    shape=(32, 32, 32),
    spacing=5.0,
    filters=8,
    validation_patients=1,
)


@dataclass(frozen=True, slots=True)
class Command:
    """What is killed.

    Attributes:
        words: as a user types them.
        before: folder whose copy the command finds in the place of its output, if any.
    """

    words: list[str]
    before: Path | None = None


class Runner:
    """Runs commands in copies of this process, which has imported the program.

    Args:
        scratch: everything is kept in it.
    """

    def __init__(self, scratch: Path) -> None:
        self.out = scratch / "killed" / "out"
        self._said, self._facts = scratch / "said.txt", scratch / "facts.json"
        self._temporary = scratch / "temporary"
        self._temporary.mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(self._temporary)

    def run(self, words: list[str], event: int = 0) -> int:
        """Return the exit code of a command that is killed at an event; at none where it is 0."""
        child = os.fork()
        if child == 0:
            self._child(words, event)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def run_well(self, words: list[str]) -> int:
        """Run a command, import here what it has imported, and return how many events it had.

        Raises:
            RuntimeError: it failed.
        """
        if code := self.run(words):
            raise RuntimeError(f"{words}: exit code {code}: {self.last_words()}")
        facts = json.loads(self._facts.read_text())
        for name in facts["modules"]:
            with suppress(Exception):  # a module of names that exist under conditions only
                importlib.import_module(name)
        return int(facts["events"])

    def last_words(self) -> str:
        """Return the end of what the last command said."""
        return self._said.read_text(errors="replace").strip()[-400:]

    def temporary(self) -> set[str]:
        """Return the names of temporary files."""
        return {path.name for path in self._temporary.iterdir()}

    def _child(self, words: list[str], event: int) -> NoReturn:
        code: Any = 1
        try:
            said = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            sys.argv = ["anomri", *words]
            count = kill_at(event, self.out.parent)  # drafts of a folder lie beside it
            try:
                anomri()
                code = 0
            except SystemExit as end:
                code = end.code or 0
            facts = {"events": count(), "modules": sorted(sys.modules)}
            self._facts.write_text(json.dumps(facts))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1)


def kill_at(event: int, folder: Path) -> Any:
    """End this process at one of its events below a folder; return a function that counts them."""
    process, seen, place = os.getpid(), 0, str(folder)

    def hook(name: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        opened = name == "open" and isinstance(args[2], int) and args[2] & WRITING
        if not (opened or name in EVENTS) or isinstance(args[0], int) or os.getpid() != process:
            return
        if not os.path.abspath(os.fsdecode(args[0])).startswith(place):  # noqa: PTH100 - in a hook
            return
        seen += 1
        if seen == event:
            os.kill(process, signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: seen


def tree(folder: Path) -> dict[str, str]:
    """Return a digest of what each file says, without times.

    Raises:
        ValueError: a file that anybody can see is not complete.
    """
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in files
        if not any(part.startswith(DRAFT) or part == "logs" for part in path.parts)
    }


def digest(path: Path) -> str:
    """Return a digest of what a file says.

    Raises:
        ValueError: it is not complete.
    """
    content = path.read_bytes()
    if not content.rstrip().endswith(ENDS.get(path.suffix, b"")):
        raise ValueError(f"{path.name}: ends early")
    if path.suffix == ".html":  # pages show the seconds
        content = b""
    elif path.suffix == ".json":
        content = json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()
    elif path.suffix == ".gz":
        content = _unpacked(path, content)
    elif path.suffix == ".safetensors":  # the header's keys have no fixed order
        size = int.from_bytes(content[:8], "little")
        header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True)
        content = header.encode() + content[8 + size :]
    elif path.name == "summary.tsv":
        lines = [line.split("\t") for line in content.decode().splitlines()]
        column = lines[0].index("seconds")
        content = repr([line[:column] + line[column + 1 :] for line in lines]).encode()
    return hashlib.sha256(content).hexdigest()


def _unpacked(path: Path, content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (EOFError, OSError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k.lower() not in TIMED}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def kills(runner: Runner, command: Command, most: int) -> tuple[int, int, list[str]]:
    """Kill a command at its events, evenly sampled where it has more than ``most``.

    Returns:
        how often it was killed, how many events it has, and what went wrong.
    """
    place_anew(runner.out, command.before)
    runner.run_well(command.words)
    place_anew(runner.out, command.before)
    events = runner.run_well(command.words)
    wanted, temporary, faults = tree(runner.out), runner.temporary(), []
    tried = np.unique(np.linspace(1, events, min(events, most)).round().astype(int))
    for event in tried:
        place_anew(runner.out, command.before)
        if fault := killed(runner, command, int(event), wanted):
            faults.append(f"event {event}: {fault}")
        if left := runner.temporary() - temporary:
            faults.append(f"event {event}: temporary files {sorted(left)}")
    return len(tried), events, faults


def killed(runner: Runner, command: Command, event: int, wanted: Mapping[str, str]) -> str:
    """Kill a command at an event and run it again; return what went wrong."""
    if (code := runner.run(command.words, event)) != -signal.SIGKILL:
        return f"ended with {code} before the kill: {runner.last_words()}"
    try:
        tree(runner.out)
    except ValueError as error:
        return f"half-written: {error}"
    if code := runner.run(command.words):
        return f"the next run ends with {code}: {runner.last_words()}"
    got = tree(runner.out)
    differing = sorted(name for name in {*wanted, *got} if wanted.get(name) != got.get(name))
    drafts = [path.name for path in runner.out.parent.rglob(f"{DRAFT}*")]
    return f"differs {differing}, drafts {drafts}" if differing or drafts else ""


def place_anew(out: Path, before: Path | None) -> None:
    """Empty the place of the output, or put what the command begins with there."""
    shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir(parents=True)
    if before is not None:
        shutil.copytree(before, out)


def commands(runner: Runner, scratch: Path) -> dict[str, Command]:
    """Make what the commands read, and return them by name."""
    scans = make_phantoms(scratch / "phantoms", healthy=4, gliomas=1, lesions=1, spacing_mm=6)
    (recipe := scratch / "tiny.yaml").write_text(RECIPE)
    ready, both, run = scratch / "ready", scratch / "both", scratch / "run"
    plain, measured = scratch / "plain", scratch / "measured"
    out, healthy = str(runner.out), "sub-01,sub-02,sub-03,sub-04"
    prepare = ["prepare", str(scans), "--recipe", str(recipe), "--subjects"]
    train = ["train", str(recipe), "--data", str(ready), "--device", "cpu", "-o"]
    calibrate = ["--data", str(ready), "--device", "cpu"]
    detect = ["detect", str(scans), "--subjects", "sub-01,sub-05", "--device", "cpu", "-m"]
    evaluate = ["evaluate", "--truth", str(scans)]
    for words in (
        [*prepare, healthy, "-o", str(ready)],
        ["prepare", str(scans), "--recipe", "default", "--subjects", "sub-01", "-o", str(both)],
        [*train, str(run)],
        ["calibrate", str(run), *calibrate],
        [*detect, str(run), "-o", str(plain)],
    ):
        runner.run_well(words)
    shutil.copytree(plain, measured, dirs_exist_ok=True)
    runner.run_well([*evaluate, str(measured)])
    make_heads(scratch / "heads")
    make_experiments(scratch / "experiments", recipe, scratch)
    reduce_to_seconds(recipe)
    view = ["view", str(scans / "sub-05" / "sub-05_flair.nii.gz"), "-o", f"{out}/page.html"]
    several = ["calibrate", "default", "--data", str(both), "--device", "cpu", "-o", out]
    experiment = ["--data", str(scratch), "--device", "cpu", "-o", f"{out}/work"]
    return {
        "prepare": Command([*prepare, "sub-01,sub-05", "-o", out]),
        "train": Command([*train, out]),
        "train --max-steps": Command([*train, out, "--max-steps", "2"]),
        "calibrate": Command(["calibrate", out, *calibrate], run),
        "calibrate -o": Command(["calibrate", str(run), *calibrate, "-o", out]),
        "calibrate default -o": Command(several),
        "detect": Command([*detect, str(run), "-o", out]),
        "detect --part": Command([*detect, str(run), "-o", out, "--part", "1/2"]),
        "evaluate": Command([*evaluate, out], plain),
        "report": Command(["report", out], measured),
        "view": Command(view),
        "train-lesions": Command(["train-lesions", str(scratch / "heads"), "-o", out]),
        "reproduce": Command(["reproduce", f"{out}/paper", *experiment], scratch / "experiments"),
        "compare": Command(["compare", f"{out}/comparison", *experiment], scratch / "experiments"),
        "demo": Command(["demo", "--device", "cpu", "-o", out]),
    }


def make_heads(folder: Path) -> None:
    """Write two labelled heads of 5 mm: ventricles in white matter in cortex."""
    index = np.indices((34, 38, 34)) - np.array([17, 19, 17])[:, None, None, None]
    for number, size in enumerate((13.0, 14.0)):
        radius = np.sqrt((index**2).sum(axis=0)) / size
        tissues = [radius < 0.3, radius < 0.8, radius < 1]
        scan, labels = np.select(tissues, [10, 100, 60], 0), np.select(tissues, [51, 81, 100], 0)
        for name, values in (("t1/h{}_T1", scan), ("dlmuse_seg/h{}_T1_DLMUSE", labels)):
            path = folder / f"{name.format(number)}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values.astype(np.int16), np.diag([5.0, 5, 5, 1])), path)


def make_experiments(folder: Path, recipe: Path, data: Path) -> None:
    """Write a paper of one row, a comparison with it, and the split of the phantoms."""
    (folder / "paper" / "rows").mkdir(parents=True)
    (folder / "comparison").mkdir()
    (folder / "paper" / "protocol.yaml").write_text(PROTOCOL)
    (folder / "comparison" / "comparison.yaml").write_text(COMPARISON)
    row = RECIPE.replace("max_epochs: 3", "max_epochs: 1")
    (folder / "paper" / "rows" / recipe.name).write_text(row)
    parts = [(f"sub-0{n}", "train" if n < 5 else "test") for n in range(1, 7)]
    write_tsv(data / "splits.tsv", ["subject", "split"], parts)


def reduce_to_seconds(recipe: Path) -> None:
    """Let `demo` and `train-lesions`, whose sizes are no options, be small in this process."""
    sizes = {"DEMO_HEALTHY": 4, "DEMO_GLIOMAS": 1, "DEMO_LESIONS": 0}
    parts = {"DEMO_TRAINING": 2, "DEMO_CALIBRATION": 1}
    tiny = SimpleNamespace(load=lambda _: Recipe.load(recipe))
    phantoms = partial(make_phantoms, spacing_mm=6)
    changes = sizes | parts | {"Recipe": tiny, "make_phantoms": phantoms}
    for name, value in changes.items():
        setattr(demonstration, name, value)
    setattr(experiments, "LesionTrainingSchedule", lambda: SHORT)  # noqa: B010 - for mypy


def main() -> None:
    """Kill what was asked for and print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--commands", default="", help="separated by commas; all if left out")
    parser.add_argument("--kills", type=int, default=16, help="of each command, at most")
    given = parser.parse_args()
    shutil.rmtree(given.scratch, ignore_errors=True)
    runner = Runner(given.scratch.resolve())
    every, total, failed = commands(runner, given.scratch.resolve()), 0, False
    print("| command | events | kills | faults |\n|---|---:|---:|---:|", flush=True)
    for name in given.commands.split(",") if given.commands else every:
        tried, events, faults = kills(runner, every[name], given.kills)
        print(f"| `{name}` | {events} | {tried} | {len(faults)} |", *faults, sep="\n", flush=True)
        total, failed = total + tried, failed or bool(faults)
    print(f"{total} kills")
    sys.exit(failed)


if __name__ == "__main__":
    main()
