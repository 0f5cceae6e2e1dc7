"""Options of the commands. Those that belong together are one object, written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from anomri import batch, datasets, detector, pipeline, preprocessing
from anomri.cli import settings
from anomri.cli.messages import information
from anomri.cli.signals import load_exports
from anomri.cli.terminal import progress
from anomri.datasets import DICOM_OBJECTS
from anomri.errors import UsageError
from anomri.files import refuse_unwritable
from anomri.recipe import NO_OVERRIDES, ModelLayout, Overrides, Recipe, layout_of

if TYPE_CHECKING:
    from anomri.datasets import BidsFilter, Found, SiteRules
    from anomri.detector import Detector

YAML = (".yaml", ".yml")  # endings of a file of rules
# Named here because the modules of these functions load slowly; a test compares the names.
LAYOUTS = "phantom, brats, lgg, brainmetshare, open_ms, bids, dicom, folder"
SCAN_RULES = "fixed, robust"
SEGMENTATION_METHODS = "above, hysteresis, grow, half_maximum, mixture"

Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="A scan, a folder of scans or a data set.")
]


def writable_folder(folder: Path | None) -> Path | None:
    """Return a folder to write to; errors as for :func:`anomri.files.refuse_unwritable`."""
    if folder is not None:
        refuse_unwritable(folder, folder=True)
    return folder


def writable_file(path: Path | None) -> Path | None:
    """Return a file to write; errors as for :func:`anomri.files.refuse_unwritable`."""
    if path is not None:
        refuse_unwritable(path, folder=False)
    return path


Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FOLDER", help="Folder to write to.", callback=writable_folder
    ),
]
Data = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Prepared scans, as written by `anomri prepare`.")
]
Contrasts = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES", help="Contrasts to use instead of the recipe's, comma-separated."
    ),
]
Device = Annotated[
    str,
    typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.", envvar=settings.DEVICE),
]
Workers = Annotated[
    int,
    typer.Option(metavar="N", help="Number of worker processes.", min=1, envvar=settings.WORKERS),
]
Layout = Annotated[str, typer.Option(metavar="NAME", help=f"Layout on disk: auto, {LAYOUTS}.")]
Orientation = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        help="Orientation of files whose header does not give one, such as RAS or LPS.",
    ),
]
_MASK_GRID = typer.Option(
    metavar="NAME",
    help="Placement of a mask with the scan's shape but another affine: header (by its own "
    "header), scan (on the scan's voxels) or auto (refuse it).",
)
MaskGrid = Annotated[str, _MASK_GRID]
DicomKinds = Annotated[
    str,
    typer.Option(
        metavar="KINDS",
        help="DICOM objects for scans from DICOM, comma-separated: seg (segmentation), sr "
        "(report), sc (picture), pm (anomaly map).",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="List the scans that would be processed, and exit.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the outcome, or with --dry-run the scans, as JSON.")
]
SplitFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="TSV file with columns subject and split.", exists=True),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The model, and the device that it runs on."""

    PANEL: ClassVar = None

    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Run folder, packed model (.zip) or built-in model.",
        ),
    ] = "default"
    device: Device = "auto"

    def load(self, overrides: Overrides = NO_OVERRIDES, *, show: bool = True) -> Detector:
        """Load the model and tell its device; errors as for :func:`anomri.detector.load`."""
        load_exports(detector)
        loaded = detector.load(self.model, device=self.device, overrides=overrides)
        if show:
            from anomri.models import reason_for

            information(f"device: {reason_for(self.device, loaded.device)}")
        return loaded

    def layout(self, overrides: Overrides = NO_OVERRIDES) -> ModelLayout | Detector:
        """Return what states the model's contrasts: its recipes, read without loading a network.

        Overrides can be checked only by the loaded model.
        """
        if overrides == NO_OVERRIDES:
            return layout_of(self.model)
        return self.load(overrides, show=False)


FilterFile = Annotated[
    Path | None,
    typer.Option(
        "--bids-filter-file",
        metavar="FILE",
        help='JSON filter for BIDS files, as for fMRIPrep: {"flair": {"acquisition": "3D"}}.',
        exists=True,
        dir_okay=False,
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ENTITY=VALUE",
        help="Select BIDS files by entity, such as run=1 or, for one contrast, flair:acq=3D; "
        "repeatable.",
    ),
]
Derivatives = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FOLDER",
        help="Results of another pipeline whose brain or lesion masks to use, such as those of "
        "fMRIPrep, HD-BET or FreeSurfer; repeatable.",
    ),
]
SessionLabel = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LABEL", help="Process only this session, with or without `ses-`; repeatable."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSelection:
    """The scans of a source to process."""

    PANEL: ClassVar = "Scans"
    USUAL_SPLIT: ClassVar = "train"

    layout: Layout = "auto"
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONTRAST=ID",
            help="DICOM series of a contrast, by number or description, such as flair=5; "
            "repeatable. Or a file with a site's rules: series.yaml.",
        ),
    ] = None
    subjects: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Process only these subjects, comma-separated."),
    ] = None
    participant_label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="Process only this participant, with or without `sub-`; repeatable.",
        ),
    ] = None
    session_label: SessionLabel = None
    bids_filter_file: FilterFile = None
    select: Select = None
    derivatives: Derivatives = None
    split_file: SplitFile = None
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Split of --split-file to process. If omitted: train to prepare, test to detect.",
        ),
    ] = None

    def find(self, source: Path) -> Found:
        """Find the selected scans below ``source``.

        Raises:
            UsageError: nothing was found, or options contradict each other.
        """
        return pipeline.find_scans(
            source,
            layout=self.layout,
            selection=self.selection(),
            series=self._series(),
            choice=bids_filter(self.bids_filter_file, self.select),
            derivatives=datasets.parse_sources(self.derivatives or []),
        )

    def selection(self) -> pipeline.Selection | None:
        """Return the selected subjects and sessions; None selects all."""
        if not self.session_label:
            return self._subjects()
        return (self._subjects() or pipeline.Selection()).in_sessions(self.session_label)

    def _subjects(self) -> pipeline.Selection | None:
        """Return the selected subjects; None selects all."""
        names = split_names(self.subjects)
        if self.split_file is not None:
            if names or self.participant_label:
                raise UsageError(
                    "--split-file: expected no --subjects or --participant-label beside it. "
                    "Next: leave one of them out."
                )
            return pipeline.Selection.of_split(self.split_file, self.split or self.USUAL_SPLIT)
        if self.split:
            raise UsageError(
                f"--split {self.split}: expected --split-file too. Next: add --split-file."
            )
        if self.participant_label:
            return pipeline.Selection.of_labels([*self.participant_label, *names])
        return pipeline.Selection(frozenset(names)) if self.subjects else None

    def _series(self) -> dict[str, str] | SiteRules:
        """Return the selected DICOM series by contrast, or a site's rules."""
        if self.series and len(self.series) == 1 and self.series[0].endswith(YAML):
            return datasets.SiteRules.read(Path(self.series[0]))
        pairs = [text.partition("=") for text in self.series or ()]
        for contrast, equals, series in pairs:
            if not (contrast and equals and series):
                raise UsageError(
                    f"series '{contrast}{equals}{series}': expected a contrast and a series, "
                    "such as flair=5. Next: correct the option."
                )
        return {contrast.strip(): series for contrast, _, series in pairs}


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSelection:
    """The scans to evaluate, and which files hold their expert masks."""

    PANEL: ClassVar = "Scans"

    layout: Layout = "auto"
    bids_filter_file: FilterFile = None
    select: Select = None
    derivatives: Derivatives = None

    def find(self, source: Path) -> Found:
        """Find the scans with their expert masks; errors as for `find_scans`."""
        return pipeline.find_scans(
            source,
            layout=self.layout,
            choice=bids_filter(self.bids_filter_file, self.select),
            derivatives=datasets.parse_sources(self.derivatives or []),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """What is compared, and how it is printed."""

    PANEL: ClassVar = None

    region: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="whole, core or enhancing; if omitted, the region that the model detects.",
        ),
    ] = None
    mask_grid: MaskGrid = "auto"
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionScans(ScanSelection):
    """The scans to detect in."""

    USUAL_SPLIT: ClassVar = "test"

    brain_mask: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Brain mask, for a single scan.", exists=True),
    ] = None

    def with_brain_mask(self, found: Found) -> Found:
        """Add the brain mask, where one was given.

        Raises:
            UsageError: there are several scans.
        """
        return pipeline.with_brain_mask(found, self.brain_mask) if self.brain_mask else found


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationOverrides:
    """Settings that replace those of the recipe's preprocessing."""

    PANEL: ClassVar = "Overrides of the recipe"

    brain: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Brain extraction: auto, given, deepbet, hdbet or stripped.",
            envvar=settings.BRAIN,
        ),
    ] = None
    orientation: Orientation = None
    mask_grid: Annotated[str | None, _MASK_GRID] = None

    def overrides(self) -> Overrides:
        """Return the entries that replace those of the recipe."""
        return Overrides(**asdict(self))

    def apply(self, recipe: Recipe) -> Recipe:
        """Return the recipe with these settings.

        Raises:
            UsageError: a setting has no such value.
        """
        preprocessing.check_mask_grid(self.mask_grid or "auto")
        preprocessing.check_orientation(self.orientation or "")
        return self.overrides().applied(recipe)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionOverrides(PreparationOverrides):
    """Settings that replace those of the model's recipe."""

    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help=f"Threshold rule: {SCAN_RULES}, or one fitted by `anomri calibrate`.",
        ),
    ] = None
    decide: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help=f"Segmentation method: {SEGMENTATION_METHODS}."),
    ] = None
    blank_slices: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE",
            help="Clear slices that this score calls healthy: mean_residual or mahalanobis.",
        ),
    ] = None
    space: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="native, or template to write results in MNI152 space as well.",
        ),
    ] = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Processes and threads, for scans that are compared with each other."""

    PANEL: ClassVar = "Execution"

    workers: Workers = 1
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Threads of each process; all cores, divided among the workers, if omitted.",
            min=1,
            envvar=settings.THREADS,
        ),
    ] = None
    engine: Annotated[str, typer.Option(metavar="NAME", help=f"{' or '.join(batch.ENGINES)}.")] = (
        batch.PROCESSES
    )
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of a Dask scheduler, such as tcp://node1:8786; implies dask.",
        ),
    ] = None

    def execution(self) -> batch.Execution:
        """Return how to run the batch; the address of a scheduler alone implies Dask.

        Raises:
            UsageError: the engine or its address is not valid.
        """
        limit_threads(self.threads)
        engine = batch.DASK if self.scheduler else self.engine
        executor = batch.Executor(self.workers, engine, self.scheduler or "")
        return batch.Execution(executor, progress=progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionOptions(WorkerOptions):
    """Processes, threads, and the part of the scans to process."""

    part: Annotated[
        str,
        typer.Option(metavar="I/N", help="Process only part I of N (job arrays)."),
    ] = "1/1"

    def execution(self) -> batch.Execution:
        """Return how to run the batch.

        Raises:
            UsageError: the part, the engine or its address is not valid.
        """
        # Not super(): the class with slots is another one than that of this function.
        whole = WorkerOptions.execution(self)
        return replace(whole, shard=batch.Shard.parse(self.part))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationExecution(ExecutionOptions):
    """How scans are prepared, and on which device their brains are found."""

    device: Device = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The folder to write to, or a dry run."""

    PANEL: ClassVar = None

    out: Annotated[
        Path | None,
        typer.Option(
            *("--out", "-o"),
            metavar="FOLDER",
            help="Folder to write to; optional with --dry-run.",
            callback=writable_folder,
        ),
    ] = None
    dry_run: DryRun = False
    as_json: AsJson = False

    @property
    def lists_json(self) -> bool:
        """Whether the scans are listed as JSON, which otherwise is for the outcome."""
        return self.dry_run and self.as_json

    def folder(self, source: Path) -> Path:
        """Return the folder to write to.

        Raises:
            UsageError: none was given, or it is the folder of the scans.
        """
        if self.out is None:
            raise UsageError("expected a folder to write to. Next: add -o FOLDER, or --dry-run.")
        refuse_source(self.out, source)
        return self.out


def refuse_source(out: Path, source: Path) -> None:
    """Refuse to write into the folder that is read.

    Raises:
        UsageError: both are one folder.
    """
    if out.is_dir() and out.samefile(source):
        raise UsageError(
            f"{out.resolve().name}: expected a folder other than that of the scans, where "
            "results would be read as scans. "
            f"Next: write to a subfolder, such as -o {out / 'anomri'}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionOutput(OutputOptions):
    """The folder to write to, with or without a report."""

    report: Annotated[bool, typer.Option(help="Write report.html.")] = True
    dicom: DicomKinds = "seg"

    def dicom_objects(self) -> tuple[str, ...]:
        """Return the kinds of DICOM objects to write; errors as for :func:`dicom_kinds`."""
        return dicom_kinds(self.dicom)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """Hardware and length of a training."""

    PANEL: ClassVar = "Execution"

    device: Device = "auto"
    processes: Annotated[
        int,
        typer.Option(
            *("--processes", "--devices"),
            metavar="N",
            help="Training processes of a machine, each on its own device.",
            min=1,
        ),
    ] = 1
    nodes: Annotated[
        int, typer.Option(metavar="N", help="Machines that train together.", min=1)
    ] = 1
    workers: Annotated[
        int, typer.Option(metavar="N", help="Processes that load images.", min=0)
    ] = 0
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="float32, bfloat16, or auto: bfloat16 where the device supports it.",
        ),
    ] = "auto"
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network first; needs a C++ compiler."),
    ] = False
    max_steps: Annotated[
        int | None, typer.Option(metavar="N", help="Stop after this many steps.", min=1)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationOptions:
    """Length and hardware of an adaptation."""

    PANEL: ClassVar = "Training"

    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Training steps of each half's network, two scans each.", min=1
        ),
    ] = None
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="Maximum training time for both halves together; after it, the networks are used "
            "as they are.",
            min=0,
        ),
    ] = None
    device: Device = "auto"

    def adaptation(self, execution: batch.Execution, command: Sequence[str]) -> pipeline.Adaptation:
        """Return how to adapt, with the command line for ``run.json``."""
        from anomri.training import AdaptationSchedule

        schedule = AdaptationSchedule()
        if self.steps is not None:
            schedule = replace(schedule, steps=self.steps)
        return pipeline.Adaptation(
            schedule=schedule,
            device=self.device,
            minutes=self.time_limit,
            execution=execution,
            command=command,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentOptions:
    """What reproductions and comparisons share."""

    PANEL: ClassVar = None

    split_file: SplitFile = None
    rows: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these rows, comma-separated.")
    ] = None
    device: Device = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions(ExperimentOptions):
    """What a comparison trains and measures."""

    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder with trained networks, in addition to --out.",
            exists=True,
        ),
    ] = None
    train: Annotated[
        bool, typer.Option(help="Train networks that are missing, or leave their rows out.")
    ] = True
    again: Annotated[bool, typer.Option("--again", help="Measure again what has not changed.")] = (
        False
    )
    workers: Workers = 1


def dicom_kinds(text: str) -> tuple[str, ...]:
    """Return the kinds of DICOM objects in a comma-separated list.

    Raises:
        UsageError: there is no such kind.
    """
    kinds = tuple(split_names(text))
    if unknown := [kind for kind in kinds if kind not in DICOM_OBJECTS]:
        raise UsageError(
            f"--dicom {unknown[0]}: expected some of {', '.join(DICOM_OBJECTS)}. "
            "Next: check the spelling."
        )
    return kinds


def limit_threads(count: int | None) -> None:
    """Limit the threads of each process, where a number is given."""
    if count is not None:
        from anomri.models import limit_threads as limit

        limit(count)


def bids_filter(file: Path | None, options: list[str] | None) -> BidsFilter:
    """Return the choice of BIDS files: those that both the file and the options choose.

    Raises:
        UsageError: one of them is not valid.
    """
    of_file = datasets.BidsFilter.read(file) if file else datasets.BidsFilter()
    return of_file.joined(datasets.BidsFilter.of_options(options or ()))


def split_names(text: str | None) -> list[str]:
    """Split comma-separated names.

    >>> split_names("flair, t1")
    ['flair', 't1']
    """
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def with_contrasts(recipe: Recipe, contrasts: str | None) -> Recipe:
    """Return the recipe with other contrasts, where some are named."""
    names = tuple(split_names(contrasts))
    return recipe.model_copy(update={"contrasts": names}) if names else recipe
