"""What `benchmarks.performance` measures: one function for each group of rows.

Processor time is that of one thread with all child processes. Commands are started by a small
process of their own, because a child's peak of memory would otherwise begin at that of its parent.
"""

from __future__ import annotations

import gzip
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from benchmarks import mixture as mixture_benchmark
from benchmarks import preparation as preparation_benchmark
from benchmarks import training as training_benchmark
from benchmarks.detection import brain, detector

from anomri import pipeline
from anomri.datasets import Found
from anomri.detector import Detector, load
from anomri.files import keep_freed_memory
from anomri.models import build_recipe_network
from anomri.preprocessing import prepare_scan
from anomri.preprocessing.template.mni152 import load_template
from anomri.recipe import Preparation, Recipe, Step, Training
from anomri.scan import ScanFiles
from anomri.synthesis import make_phantoms
from anomri.training.loading import make_loaders
from anomri.training.samples import split_images
from anomri.training.trainer import quiet

Row = dict[str, Any]

CONTRASTS = ("flair", "t1ce", "t1", "t2")
LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
found = {"seconds": usage.ru_utime + usage.ru_stime, "wall": time.perf_counter() - start}
found |= {"mib": usage.ru_maxrss // 1024, "code": os.waitstatus_to_exitcode(status)}
print(json.dumps(found))
"""
SIZES: Mapping[str, tuple[tuple[int, int, int], tuple[float, float, float]]] = {
    "240 x 240 x 155 of 1 mm": ((240, 240, 155), (1, 1, 1)),
    "480 x 480 x 310 of 0.5 mm": ((480, 480, 310), (0.5, 0.5, 0.5)),
    "512 x 512 x 20 of 0.47 x 0.47 x 8 mm": ((512, 512, 20), (0.47, 0.47, 8)),
}
REPORTED = 100  # scans of a report, at most
SHARED, MANY = 4, 12  # scans that workers divide; parts and a cluster take the fewer
FAMILIES = ("vae", "dvae", "aae")


@dataclass(frozen=True, slots=True)
class Setting:
    """What was asked for.

    Attributes:
        root: folder for scans and results.
        rounds: paired runs of each row.
        scans: size of the largest cohort.
        families: networks that are trained.
        case: folder of a scan of one's own.
    """

    root: Path
    rounds: int
    scans: int
    families: Sequence[str] = FAMILIES
    case: Path | None = None


def processor_seconds() -> float:
    """Return what this process and its finished children have used."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def timed(function: Callable[[], object]) -> float:
    """Return the processor seconds of a call."""
    start = processor_seconds()
    function()
    return processor_seconds() - start


def launched(words: Sequence[str], *, code: int = 0) -> Row:
    """Run a command and return processor and wall seconds, and its peak of memory in MiB."""
    command = [sys.executable, "-c", LAUNCHER, sys.executable, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: Row = json.loads(done.stdout)
    if found.pop("code") != code:
        raise SystemExit(f"nothing to time: {' '.join(words)}")
    return found


def anomri(*words: str, code: int = 0) -> Row:
    """Run a command of anomri; see :func:`launched`."""
    return launched(["-m", "anomri.cli", *words], code=code)


def row(name: str, ours: Sequence[float], least: Sequence[float] = (), **more: Any) -> Row:
    """Return a line of the table: medians, and the median of the ratios of each round."""
    ratios = [mine / bare for mine, bare in zip(ours, least, strict=False) if bare]
    return {
        "name": name,
        "seconds": round(statistics.median(ours), 4),
        "least_seconds": round(statistics.median(least), 4) if least else None,
        "ratio": round(statistics.median(ratios), 2) if ratios else None,
        **more,
    }


def command_row(name: str, found: Row, scans: int = 1) -> Row:
    """Return a line of a command, per scan."""
    wall = round(found["wall"] / scans, 3)
    return row(name, [found["seconds"] / scans], wall_seconds=wall, mib=found["mib"])


def start_up(setting: Setting) -> Iterator[Row]:
    """Commands that compute nothing, against an empty Python program."""
    scan = str(save(np.zeros((4, 4, 4)), setting.root / "start" / "a_flair.nii"))
    for words, code in (
        ("--version", 0),
        ("--help", 0),
        ("detect SCAN --dry-run", 0),
        ("detect SCAN --nonsense", 2),
    ):
        pairs = [
            (anomri(*words.replace("SCAN", scan).split(), code=code), launched(["-c", "pass"]))
            for _ in range(setting.rounds)
        ]
        ours, least = zip(*pairs, strict=True)
        seconds = [[run["seconds"] for run in runs] for runs in (ours, least)]
        yield row(f"anomri {words}", *seconds, mib=max(run["mib"] for run in ours))


def detection(setting: Setting) -> Iterator[Row]:
    """One scan of 240 x 240 x 155, against its reading, its forward passes and its writing."""
    for title, model, contrasts in models():
        found = synthetic_scan(setting.root / title, contrasts)
        yield detection_row(title, model, found, setting)
    if setting.case:
        found = pipeline.find_scans(setting.case)
        model = load("default", device="cpu")
        yield detection_row("default, the scan of --case", model, found, setting)


def models() -> Iterator[tuple[str, Detector, int]]:
    """Yield what detects, and how many contrasts it reads; untrained networks take as long."""
    torch.manual_seed(0)  # how many lesions an untrained network finds depends on it
    yield "default, four contrasts", load("default", device="cpu"), 4
    yield "intensity", load("intensity", device="cpu"), 1
    yield "lesions, two contrasts", load("lesions", device="cpu"), 2
    yield "VAE of slices (vae)", detector("vae"), 1
    small = Preparation(spacing_mm=(2, 2, 2), shape=(80, 96, 80))
    recipe = Recipe(name="3-D", axes=3, family=Step(name="spatial_vae"), preparation=small)
    yield "VAE of volumes (spatial_vae, 2 mm)", Detector.of(recipe, [network_of(recipe)]), 1
    step = {"regularised_segmenter": {"filters": 8}}
    training = Training(crop=(80, 96, 64), batch_size=1)
    whole = Preparation(spacing_mm=(2, 2, 2), shape=(None, None, None))
    score = {"score": {"segment": {"mirrored": False}}, "threshold": {"fixed": {"value": 0.5}}}
    recipe = Recipe.model_validate(
        {"name": "segmenter", "contrasts": CONTRASTS, "axes": 3, "family": step}
        | {"preparation": whole, "training": training, "detection": score}
    )
    yield "segmenter, four contrasts, 2 mm", Detector.of(recipe, [network_of(recipe)]), 4


def network_of(recipe: Recipe) -> Any:
    """Return an untrained network."""
    return build_recipe_network(recipe)


def synthetic_scan(folder: Path, contrasts: int) -> Found:
    """Write a smooth brain, brighter in each further contrast."""
    for number, contrast in enumerate(CONTRASTS[:contrasts]):
        save((brain() * (1 + number)).astype(np.int16), folder / "case" / f"{contrast}.nii.gz")
    return pipeline.find_scans(folder / "case", layout="folder")


def save(values: Any, path: Path, spacing: Sequence[float] = (1, 1, 1)) -> Path:
    """Write an image with voxels of so many mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([*spacing, 1])), path)
    return path


def detection_row(title: str, model: Detector, found: Found, setting: Setting) -> Row:
    """Time a detection, and reading, the same forward passes and writing alone."""
    pairs, paths = [], list(found.scans[0].contrasts.values())
    for number in range(setting.rounds + 1):  # the first warms up
        out = setting.root / title / f"out{number}"
        with timed_passes(model) as passes:
            ours = timed(partial(detect, found, model, out))
        pairs.append((ours, sum(passes) + timed(partial(read_and_write, paths, out))))
    return row(f"detect: {title}", *zip(*pairs[1:], strict=True))


@contextmanager
def timed_passes(model: Detector) -> Iterator[list[float]]:
    """Collect the processor seconds of every forward pass in this block."""
    seconds: list[float] = []
    every = [network for one in model.map_models.values() for network in one.networks]
    networks = {id(network): network for network in every}.values()  # maps may share one
    places = [
        (network, name)
        for network in networks
        if network.has_parameters
        for name in ("reconstruct", "segment")
        if hasattr(network, name)
    ]

    def measured(forward: Callable[..., Any], *arguments: Any) -> Any:
        start = time.process_time()
        result = forward(*arguments)
        seconds.append(time.process_time() - start)
        return result

    for network, name in places:
        setattr(network, name, partial(measured, getattr(network, name)))
    yield seconds
    for network, name in places:
        delattr(network, name)


def detect(found: Found, model: Detector, out: Path) -> None:
    """Detect with all outputs but the report."""
    if failures := pipeline.detect(found, model, out).failures:
        raise SystemExit(f"nothing to time: {failures}")


def read_and_write(paths: Sequence[Path], out: Path) -> None:
    """Read the scan, and write the images of its result again."""
    for path in paths:
        nib.Nifti1Image.from_filename(path).get_fdata(dtype=np.float32)
    for path in out.rglob("*.nii.gz"):
        image = nib.Nifti1Image.from_filename(path)
        again = nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine).to_bytes()
        path.with_suffix(".again").write_bytes(gzip.compress(again, 1))


def whole_head(setting: Setting) -> Iterator[Row]:
    """A head with its skull, where the brain has to be found."""
    data = make_phantoms(setting.root / "heads", healthy=0, gliomas=1, lesions=0, spacing_mm=1.5)
    found, model = pipeline.find_scans(data), load("default", device="cpu")
    runs = [
        timed(partial(detect, found, model, setting.root / f"head{number}"))
        for number in range(setting.rounds + 1)
    ]
    yield row("detect: default, a phantom's head of 1.5 mm", runs[1:])


def preparation(setting: Setting) -> Iterator[Row]:
    """N4, affine registration and resampling, against the bare calls of the libraries."""
    path = setting.root / "preparation" / "flair.nii.gz"
    path.parent.mkdir()
    preparation_benchmark.phantom(path)
    files = ScanFiles(subject="phantom", contrasts={"flair": path}, layout="folder")
    template = preparation_benchmark.itk(load_template()[0])
    fixed = preparation_benchmark.resampled(template, (preparation_benchmark.SIDE_MM,) * 3)
    ours = partial(prepare_scan, files, preparation_benchmark.PREPARATION, ["flair"])
    pairs = []
    for _ in range(max(1, setting.rounds // 2)):
        pairs.append((sum(preparation_benchmark.bare(path, fixed).values()), timed(ours)))
    least, seconds = zip(*pairs, strict=True)
    yield row("prepare: N4, affine registration, resampling", seconds, least)


def training(setting: Setting) -> Iterator[Row]:
    """A training step and the loading of its batch, against the step of the bare loop."""
    folder = setting.root / "training"
    folder.mkdir()
    with quiet():
        prepared = training_benchmark.random_cohort(folder)
        for name in setting.families:
            size = training_benchmark.LARGE.get(name, Training().batch_size)
            options = training_benchmark.Options(
                "cpu", 2 * setting.rounds, 2, size, training_benchmark.cpu_time
            )
            settings = Training(max_epochs=1, batch_size=size, slab_mm=None)
            recipe = Recipe(
                name=name,
                preparation=training_benchmark.PREPARATION,
                family=Step(name=name),
                training=settings,
            )
            pairs = training_benchmark.timed(recipe, prepared, folder, options)
            ours, bare = ([seconds / 2 for seconds in side] for side in zip(*pairs, strict=True))
            yield row(f"training step: {name}, {size} slices of 128 x 128", ours, bare)
            loading = loading_seconds(recipe, prepared, len(bare))
            yield row(f"loading its batch: {name}", loading, bare)


def loading_seconds(recipe: Recipe, prepared: Any, count: int) -> list[float]:
    """Return the processor seconds of loading each of some batches."""
    loaders = make_loaders(split_images(prepared, recipe.training), prepared, recipe, workers=0)
    batches = iter(loaders[0])
    return [timed(partial(next, batches, None)) for _ in range(count)]


def mixture(setting: Setting) -> Iterator[Row]:
    """The neighbourhood-weighted mixture, against scikit-learn's plain one."""
    values, mask = mixture_benchmark.residual()
    pairs = [
        (
            timed(partial(mixture_benchmark.weighted, values, mask)),
            timed(partial(mixture_benchmark.plain, values, mask)),
        )
        for _ in range(setting.rounds)
    ]
    yield row(f"mixture: {mixture_benchmark.STEPS} steps", *zip(*pairs, strict=True))


def follow_up(setting: Setting) -> Iterator[Row]:
    """Two time points of a subject whose results are there."""
    folder = setting.root / "follow"
    data = make_phantoms(folder / "data", healthy=0, gliomas=1, lesions=0, spacing_mm=2.0)
    found, model = pipeline.find_scans(data), load("intensity", device="cpu")
    for name in ("first", "second"):
        detect(found, model, folder / name)
    runs = [
        timed(
            partial(pipeline.follow_up, [folder / "first", folder / "second"], folder / f"{number}")
        )
        for number in range(setting.rounds)
    ]
    yield row("follow: two time points of 2 mm", runs)


def memory(setting: Setting) -> Iterator[Row]:
    """The whole command by the size of the scan, FLAIR alone."""
    for name, (shape, spacing) in SIZES.items():
        scan = save(head(shape, spacing), setting.root / name / "flair.nii.gz", spacing)
        out = str(setting.root / name / "out")
        words = ("detect", str(scan), "-o", out, "--device", "cpu", "--no-report")
        yield command_row(f"one scan of {name}, whole command", anomri(*words))


def head(shape: Sequence[int], spacing: Sequence[float]) -> Any:
    """Return the smooth brain on another grid."""
    index = [
        (np.arange(count) * mm).astype(int).clip(0, side - 1)
        for count, mm, side in zip(shape, spacing, (240, 240, 155), strict=True)
    ]
    return brain()[np.ix_(*index)].astype(np.int16)


def cohorts(setting: Setting) -> Iterator[Row]:
    """Small phantoms by the size of the cohort, a second run over them, and their report."""
    before, sizes = (0, 0.0, 0.0), [n for n in (1, 10, 100, 1000) if n <= setting.scans]
    commands = {size: small_cohort_command(setting.root, size) for size in sizes}
    for size, words in commands.items():
        found = anomri(*words)
        count, seconds, wall = before
        added = size - count
        yield row(
            f"each further phantom of 16,000 voxels, up to {size}",
            [(found["seconds"] - seconds) / added],
            wall_seconds=round((found["wall"] - wall) / added, 3),
            mib=found["mib"],
        )
        before = size, found["seconds"], found["wall"]
    yield command_row(f"a second run over {sizes[-1]} of them", anomri(*commands[sizes[-1]]))
    reported = min(sizes[-1], REPORTED)
    out = str(setting.root / f"out{reported}")
    yield command_row(f"report of {reported}, per scan", anomri("report", out), reported)


def small_cohort_command(root: Path, scans: int) -> tuple[str, ...]:
    """Write a cohort, and return the command that detects in it."""
    small_cohort(root / f"of{scans}", scans)
    words = ("detect", str(root / f"of{scans}"), "-o", str(root / f"out{scans}"))
    return (*words, "-m", "intensity", "--device", "cpu", "--no-report")


def small_cohort(data: Path, scans: int) -> None:
    """Write ellipsoids of noise with a bright block, 24 x 28 x 24 voxels of 7 mm."""
    shape, half = (24, 28, 24), np.array([10, 12, 10])[:, None, None, None]
    offsets = np.indices(shape) - np.array([12, 14, 12])[:, None, None, None]
    inside = ((offsets / half) ** 2).sum(axis=0) < 1
    for number in range(scans):
        values = np.where(inside, np.random.default_rng(number).normal(300, 20, shape), 0)
        values[8:12, 8:12, 8:12] = 600
        label = f"sub-{number:04d}"
        save(values.astype(np.int16), data / label / "anat" / f"{label}_FLAIR.nii.gz", (7, 7, 7))


def workers(setting: Setting) -> Iterator[Row]:
    """Few and more scans by one process and by two workers; few by two parts and by Dask."""
    for count in (SHARED, MANY):
        for number in range(count):
            folder = setting.root / f"shared{count}" / f"sub-{number}" / "anat"
            save(brain().astype(np.int16), folder / f"sub-{number}_FLAIR.nii.gz")

    def words(out: str, *more: str, scans: int = SHARED) -> list[str]:
        data, results = (str(setting.root / name) for name in (f"shared{scans}", out))
        options = ["-m", "intensity", "--device", "cpu", "--no-report", "--threads", "1"]
        return ["detect", data, "-o", results, *options, *more]

    for processes in ("1", "2"):
        few, many = (
            anomri(*words(f"{scans}by{processes}", "--workers", processes, scans=scans))
            for scans in (SHARED, MANY)
        )
        yield command_row(f"{SHARED} scans, --workers {processes}, per scan", few, SHARED)
        added = {name: many[name] - few[name] for name in ("seconds", "wall")}
        line = f"each further scan, --workers {processes}"
        yield command_row(line, {**added, "mib": many["mib"]}, MANY - SHARED)
    start = time.perf_counter()
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "anomri.cli", *words("parts", "--part", f"{part}/2")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for part in (1, 2)
    ]
    seconds = timed(lambda: [command.wait() for command in commands])
    wall = round((time.perf_counter() - start) / SHARED, 3)
    yield row(f"{SHARED} scans, --part 1/2 beside 2/2", [seconds / SHARED], wall_seconds=wall)
    with cluster(setting.root) as address:
        found = anomri(*words("dask", "--scheduler", address))
        wall = round(found["wall"] / SHARED, 3)
        yield row(f"{SHARED} scans, Dask with two workers (wall)", [0], wall_seconds=wall)


@contextmanager
def cluster(root: Path) -> Iterator[str]:
    """Run a Dask scheduler with two workers, and return its address."""
    file = root / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    silent = partial(subprocess.Popen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    place = ["--scheduler-file", str(file)]
    options = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    started = [
        silent([*dask, "scheduler", "--port", "0", "--no-dashboard", *place], cwd=root),
        silent([*dask, "worker", *place, *options], cwd=root),
    ]
    try:
        for _ in range(300):
            if file.exists():
                break
            time.sleep(0.1)
        yield json.loads(file.read_text("utf-8"))["address"]
    finally:
        for process in started:
            process.terminate()
            process.wait()


GROUPS: Mapping[str, Callable[[Setting], Iterator[Row]]] = {
    "start": start_up,
    "detect": detection,
    "head": whole_head,
    "memory": memory,
    "cohorts": cohorts,
    "workers": workers,
    "training": training,
    "prepare": preparation,
    "mixture": mixture,
    "follow": follow_up,
}


def one_thread() -> None:
    """Limit PyTorch to one thread, as OMP_NUM_THREADS limits the others, and keep freed memory.

    Every command and worker process keeps it, see :func:`~anomri.files.keep_freed_memory`.
    """
    keep_freed_memory()
    torch.set_num_threads(1)
