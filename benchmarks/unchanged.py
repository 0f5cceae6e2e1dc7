"""Record what the models mark, measure and learn; compare it after a change that must change none.

    python benchmarks/unchanged.py record OUT     # with the code before the change
    python benchmarks/unchanged.py compare OUT    # with the code after it

Everything runs through the command line of the installed package, so that no name within the
package matters. The code is that of the interpreter, or of PYTHONPATH; its place is printed first.

``record`` trains a VAE (Weninger et al.) and a segmenter (Myronenko) for two steps, calibrates
``default``, ``intensity`` and the VAE, and detects with these and with the built-in models, on
phantoms and, where ANOMRI_DATA holds real scans, on a few of the split ``train``. ``compare`` does
the same again: it trains anew, which must give the same weights, and detects with the run folders
that ``record`` kept. It prints each difference and exits with 1 if there is one.

Compared are the voxels and the affine of each NIfTI file, each tensor of the weights, and all
numbers and names in tables, sidecars and fitted thresholds, as they are written. Not compared are
pages, pictures, the viewer's copies, provenance, times and free text such as notes.

A change may rename a file, a column or a field on purpose: ``--renamed OLD=NEW``, once for each.
One that comes or goes on purpose is left out with ``--ignored NAME``.

``--steps 'detected_default*'`` compares only the commands whose names match; the names are printed.

OUT holds copies of the scans: keep it out of the repository. ``compare`` leaves its own results in
``OUT/compared``, where a difference can be looked into. Each takes four minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from safetensors.numpy import load_file

ROWS = Path(__file__).resolve().parents[1] / "recipes"
RECORD, RECORDED, COMPARED = "record.json", "recorded", "compared"
# Threads add up in an order of their own, and the last bits with them.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}

WORDS = {"notes", "reason", "next_step"}  # columns of free text
MACHINE = {"seconds", "commit", "anomri", "weights_sha256"}  # columns that depend on the machine
SIDECAR_WORDS = {"Description", "Notes", "Provenance", "ResearchUse", "Seconds", "Units"}
PREPARED_WORDS = {"files", "notes", "healthy_unclear"}
PREVIEW = "_desc-preview.json"
SETTINGS = {"dataset_description.json", "environment.json", "prepared.json", "run.json"}

Facts = dict[str, str]  # path of a file and of a value in it -> the value, or a digest


@dataclass(frozen=True, slots=True)
class Step:
    """One command.

    Attributes:
        name: of its folder of results.
        words: what is typed after ``anomri``, without the folder to write to.
        kept: what ``record`` keeps: paths below the results to paths below OUT.
    """

    name: str
    words: tuple[str, ...]
    kept: Mapping[str, str] = field(default_factory=dict)


def training_steps() -> Iterator[Step]:
    """Yield what makes the phantoms and trains on them."""
    smoke = ("--smoke", "--device", "cpu", "--rows")
    words = ("reproduce", str(ROWS / "weninger2019"), *smoke, "vae_mse")
    yield Step("vae", words, {"phantoms": "phantoms", "runs/vae_mse": "runs/vae"})
    words = ("reproduce", str(ROWS / "myronenko2018"), *smoke, "single")
    yield Step("segmenter", words, {"runs/single": "runs/segmenter"})


def calibration_steps(out: Path, work: Path) -> Iterator[Step]:
    """Yield what fits thresholds, on phantoms."""
    yield Step("prepared", ("prepare", str(out / "phantoms"), "--recipe", "default"))
    models = {"default": "default", "intensity": "intensity", "vae": str(out / "runs" / "vae")}
    for name, model in models.items():
        data = _first("vae/prepared-*" if name == "vae" else "prepared", work, out / RECORDED)
        words = ("calibrate", model, "--data", str(data), "--device", "cpu")
        yield Step(f"calibrated_{name}", words, {"": f"runs/calibrated_{name}"})


def _first(pattern: str, *folders: Path) -> Path:
    return next(path for folder in folders for path in folder.glob(pattern))


def detection_steps(out: Path) -> Iterator[Step]:
    """Yield what marks lesions in phantoms, and in real scans where ``record`` found some."""
    runs, phantoms = out / "runs", out / "phantoms"
    yield _detection("default", "default", phantoms)
    for model in ("intensity", "lesions", "intensity_regions"):
        yield _detection(model, model, phantoms, "--subjects", "sub-01,sub-02")
    yield _detection("of_segmenter", runs / "segmenter", phantoms)
    joint, alone = "healthy_decision", "healthy"  # the rules that calibration fits
    run = runs / "calibrated_default"
    yield _detection("of_calibrated_default", run, phantoms, "--threshold", joint)
    rules = ("--threshold", alone, "--decide", "above")
    yield _detection("of_calibrated_vae", runs / "calibrated_vae", phantoms, *rules)
    if (out / "scans").is_dir():
        yield _detection("default_scans", "default", out / "scans")
        yield _detection("default_heads", "default", out / "heads")
        first = min(path.name for path in (out / "scans").glob("Brats*"))
        for model in ("intensity", "lesions", "intensity_regions"):
            yield _detection(f"{model}_scans", model, out / "scans", "--subjects", first)


def _detection(name: str, model: str | Path, source: Path, *words: str) -> Step:
    always = ("--model", str(model), "--device", "cpu", "--no-report")
    return Step(f"detected_{name}", ("detect", str(source), *always, *words))


def copy_scans(data: Path, out: Path) -> None:
    """Copy training scans: whole heads, and stripped ones with four contrasts, two and one."""
    of_brats = [next(data.glob(f"brats2018/*/{name}")) for name in _training(data, "brats2018")[:3]]
    for case, contrasts in zip(of_brats, ("flair t1ce t1 t2", "flair t1ce", "flair"), strict=True):
        for contrast in contrasts.split():
            _copy(case / f"{case.name}_{contrast}.nii.gz", out / "scans" / case.name)
    name = _training(data, "nichart")[0]
    _copy(data / "nichart" / "fl" / f"{name}_FL.nii.gz", out / "scans" / name)
    case = data / "lgg" / "kaggle_3m" / _training(data, "lgg")[0]
    shutil.copytree(case, out / "heads" / "kaggle_3m" / case.name)


def _training(data: Path, dataset: str) -> list[str]:
    with (data / "splits.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    chosen = [row for row in rows if row["dataset"] == dataset and row["split"] == "train"]
    return sorted(row["subject"] for row in chosen)


def _copy(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)


def record(out: Path) -> None:
    """Run everything, keep the inputs and the trained models, and write down the facts."""
    if out.exists() and any(out.iterdir()):
        raise SystemExit(f"{out.name}: expected a new or empty folder. Next: choose another one.")
    out.mkdir(parents=True, exist_ok=True)
    data = os.environ.get("ANOMRI_DATA")
    if data:
        copy_scans(Path(data), out)
    facts = run_all(out, out / RECORDED)
    codes = {key: value for key, value in facts.items() if key.endswith("/exit_code")}
    if wrong := [key for key, code in codes.items() if code != "0"]:
        raise SystemExit(f"nothing was recorded: expected exit code 0 from {', '.join(wrong)}")
    (out / RECORD).write_text(json.dumps(facts, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"recorded {len(facts)} facts")


def compare(out: Path, steps: str, renamed: Mapping[str, str], ignored: Collection[str]) -> int:
    """Run the steps of a pattern again, print what differs, and return how much does."""
    facts: Facts = json.loads((out / RECORD).read_text(encoding="utf-8"))
    before = {key: value for key, value in facts.items() if fnmatch(key.split("/")[0], steps)}
    shutil.rmtree(out / COMPARED, ignore_errors=True)
    after = run_all(out, out / COMPARED, steps)
    found = differences(before, after, renamed=renamed, ignored=ignored)
    print("\n".join(found))
    print(f"{len(found)} differences; {len(before)} facts were recorded, {len(after)} found")
    return len(found)


def run_all(out: Path, work: Path, chosen: str = "*") -> Facts:
    """Run every step whose name matches into ``work``; return the facts, among them exit codes."""
    facts: Facts = {}
    print(f"code: {_code()}", flush=True)
    # Steps are made when their turn comes: later ones look at what earlier ones left.
    for steps in (training_steps(), calibration_steps(out, work), detection_steps(out)):
        for step in (step for step in steps if fnmatch(step.name, chosen)):
            results = work / step.name
            facts[f"{step.name}/exit_code"] = str(_run(step, results))
            facts |= {f"{step.name}/{key}": value for key, value in facts_of(results)}
            for source, target in step.kept.items() if work.name == RECORDED else ():
                shutil.copytree(results / source, out / target)
    return facts


def _run(step: Step, results: Path) -> int:
    start = time.perf_counter()
    command = [sys.executable, "-m", "anomri.cli", *step.words, "-o", str(results)]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(f"{step.name}: {time.perf_counter() - start:.0f} s", flush=True)
    if done.returncode:
        print(done.stderr[-2000:], flush=True)
    return done.returncode


def _code() -> str:
    command = [sys.executable, "-c", "import anomri; print(anomri.__file__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return str(Path(done.stdout.strip()).parent)


def facts_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield every fact in the files of a folder."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for key, value in _facts_of_file(path):
            yield f"{path.relative_to(folder).as_posix()}/{key}", value


def _facts_of_file(path: Path) -> Iterator[tuple[str, str]]:
    if path.name.endswith((".nii", ".nii.gz")):
        yield from _of_image(path)
    elif path.suffix == ".safetensors":
        tensors = load_file(path)
        yield from ((name, _digest(tensor)) for name, tensor in tensors.items())
    elif path.suffix == ".tsv":
        yield from _of_table(path)
    elif path.suffix == ".json" and path.name not in SETTINGS and not path.name.endswith(PREVIEW):
        document = json.loads(path.read_text(encoding="utf-8"))
        skipped = PREPARED_WORDS if path.name == "scan.json" else SIDECAR_WORDS
        yield from _leaves({key: value for key, value in document.items() if key not in skipped})


def _of_image(path: Path) -> Iterator[tuple[str, str]]:
    image = nib.Nifti1Image.from_filename(path)
    yield "voxels", _digest(np.asanyarray(image.dataobj))
    yield "affine", _digest(np.asarray(image.affine))


def _of_table(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines, delimiter="\t")):
            for column in row.keys() - WORDS - MACHINE:
                yield f"{number}/{column}", row[column]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of a JSON document, as JSON, by their path."""
    if isinstance(value, (dict, list)) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            yield from _leaves(part, f"{path}/{key}" if path else str(key))
    else:
        yield path, json.dumps(value)


def _digest(values: np.ndarray[Any, Any]) -> str:
    content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    return f"{values.dtype} {values.shape} {content}"


def differences(
    before: Facts, after: Facts, *, renamed: Mapping[str, str], ignored: Collection[str]
) -> list[str]:
    """Return a line for each fact that differs, is missing or is new.

    Args:
        before: as recorded.
        after: as found now.
        renamed: names of files, columns and fields, of then to now.
        ignored: names of now that are not compared.
    """
    names = {key: [renamed.get(part, part) for part in key.split("/")] for key in before}
    expected = {"/".join(parts): before[key] for key, parts in names.items()}
    keys = sorted(key for key in expected.keys() | after.keys() if not _has(key, ignored))
    return [
        f"{key}: {expected.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in keys
        if expected.get(key) != after.get(key)
    ]


def _has(key: str, names: Collection[str]) -> bool:
    return bool(set(names).intersection(key.split("/")))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", default="*", metavar="PATTERN")
    parser.add_argument("--renamed", action="append", default=[], metavar="OLD=NEW")
    parser.add_argument("--ignored", action="append", default=[], metavar="NAME")
    options = parser.parse_args()
    out = options.out.resolve()
    if options.action == "record":
        record(out)
        return
    renamed = dict(pair.split("=", 1) for pair in options.renamed)
    sys.exit(1 if compare(out, options.steps, renamed, options.ignored) else 0)


if __name__ == "__main__":
    main()
