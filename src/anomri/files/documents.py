"""Reading anomri's own text, JSON and YAML files within limits, validated by a model.

A file on disk may be truncated, edited by hand or written by another program. Whatever is wrong
with it becomes a :class:`~anomri.errors.DamagedFile` that names it; no parser error escapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from anomri.errors import AnomriError, DamagedFile
from anomri.files.atomic import newest
from anomri.scan import FalsePositiveVolume, Note, NoteKind, Threshold

MAX_JSON_BYTES = 256 << 20  # the viewer's copy of a large scan takes about 20 MB
MAX_TABLE_BYTES = 256 << 20
MAX_YAML_BYTES = 1 << 20  # our largest recipe takes 6 kB
MAX_YAML_NODES = 20_000
MAX_YAML_DEPTH = 20
MAX_DIGITS = 32  # of an integer; Python refuses to format more than 4300

RUN_AGAIN = "delete it and run the command that wrote it again"

T = TypeVar("T")


def read_bytes(path: Path, *, limit: int, next_step: str = RUN_AGAIN) -> bytes:
    """Read a file of at most ``limit`` bytes.

    Raises:
        DamagedFile: the file is larger.
    """
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise DamagedFile(
            path,
            expected=f"at most {limit >> 20} MiB",
            got=f"{path.stat().st_size >> 20} MiB",
            next_step=next_step,
        )
    return content


def read_text(path: Path, *, limit: int = MAX_TABLE_BYTES, next_step: str = RUN_AGAIN) -> str:
    """Read UTF-8 text, with or without a byte order mark.

    Raises:
        DamagedFile: the file is too large, or in another encoding.
    """
    content = read_bytes(path, limit=limit, next_step=next_step)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedFile(
            path,
            expected="text in UTF-8",
            got=f"invalid bytes at position {error.start}",
            next_step=f"save it as UTF-8, or {next_step}",
        ) from error


def read_json(path: Path, kind: type[T], *, what: str, next_step: str = RUN_AGAIN) -> T:
    """Read JSON into a pydantic model, a dataclass or a typed collection of them.

    Args:
        path: the file.
        kind: the expected type, such as ``dict[str, Any]`` or a model.
        what: the expected content in words, for the error.
        next_step: what to do if it is damaged, for the error.

    Raises:
        DamagedFile: the file is too large, is not JSON, or does not validate.
    """
    content = read_bytes(path, limit=MAX_JSON_BYTES, next_step=next_step)
    try:
        read: T = _adapter(kind).validate_json(content.removeprefix(b"\xef\xbb\xbf"))
    except (ValidationError, RecursionError, MemoryError) as error:
        raise DamagedFile(path, expected=what, got=_describe(error), next_step=next_step) from error
    return read


@contextmanager
def undamaged(path: Path, *, what: str, next_step: str = RUN_AGAIN) -> Iterator[None]:
    """Turn any error raised while reading anomri's own file into :class:`DamagedFile`.

    For files that are neither text nor JSON, such as tensors and prepared volumes.

    Args:
        path: the file being read.
        what: its expected content, for the error.
        next_step: what to do if it is damaged, for the error.
    """
    try:
        yield
    except AnomriError:
        raise
    except Exception as error:
        if isinstance(error, PermissionError):
            got = "no permission to read it"
        else:
            got = f"a file that cannot be read ({type(error).__name__})"
        raise DamagedFile(path, expected=what, got=got, next_step=next_step) from error


def parse_yaml(text: str) -> Any:
    """Parse one YAML document within limits, without aliases or tags that run code.

    Raises:
        YAMLError: the text is not YAML, or exceeds a limit; the message says where.
    """
    if len(text) > MAX_YAML_BYTES:
        raise yaml.YAMLError(f"expected at most {MAX_YAML_BYTES} characters, got {len(text)}")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader with limits
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError, IndexError) as error:
        # PyYAML passes on errors of Python's constructors, for example for February 30.
        raise yaml.YAMLError(f"a value that cannot be read ({str(error)[:80]})") from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader for small documents of numbers, strings, lists and mappings.

    Aliases let a document of 1 kB expand to gigabytes, and recipes do not need them.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node; refuse aliases, deep nesting and too many nodes."""
        if self.check_event(yaml.AliasEvent):
            self._refuse("expected no aliases (*name): write the value out")
        self._depth, self._nodes = self._depth + 1, self._nodes + 1
        if self._depth > MAX_YAML_DEPTH:
            self._refuse(f"expected at most {MAX_YAML_DEPTH} levels")
        if self._nodes > MAX_YAML_NODES:
            self._refuse(f"expected at most {MAX_YAML_NODES} values")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_yaml_int(self, node: Any) -> int:
        """Return an integer of at most :data:`MAX_DIGITS` digits."""
        if len(node.value) > MAX_DIGITS:
            self._refuse(f"expected a number of at most {MAX_DIGITS} digits")
        return int(super().construct_yaml_int(node))

    def _refuse(self, text: str) -> None:
        raise yaml.MarkedYAMLError(problem=text, problem_mark=self.get_mark())


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _as_note(value: object) -> object:
    return Note(NoteKind.OTHER, value) if isinstance(value, str) else value


StoredNote = Annotated[Note, BeforeValidator(_as_note)]
"""A note in a JSON file; version 0.1 wrote the text alone."""


class _FalsePositiveVolumeEntry(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    mean_ml: float
    median_ml: float
    upper_ml: float
    scans: int = Field(ge=0)


class _ThresholdEntry(BaseModel):
    """A threshold as written by calibration; unknown keys of newer versions are ignored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    value: float
    rule: str
    fitted_on: tuple[str, ...]
    false_positive_ml: float | None
    false_positives: _FalsePositiveVolumeEntry | None = Field(
        None, validation_alias=AliasChoices("false_positives", "marked")
    )
    """Called ``marked`` in files of version 0.1."""

    def threshold(self) -> Threshold:
        measured = self.false_positives and FalsePositiveVolume(**dict(self.false_positives))
        return Threshold(**{**dict(self), "false_positives": measured})


CALIBRATE = "delete it and run `anomri calibrate` again"


class RunEntry(BaseModel):
    """The command, machine and versions of a run, as ``run.json`` holds them."""

    command: str | None = None
    started: str | None = None
    device: str | None = None
    python: str | None = None
    versions: dict[str, str] = {}


def read_run(path: Path) -> RunEntry | None:
    """Read ``run.json``; None where there is no such file.

    Raises:
        DamagedFile: it does not hold what ``detect`` writes.
    """
    step = "delete it; the next `anomri detect` writes it again"
    return read_json(path, RunEntry, what="run", next_step=step) if path.is_file() else None


def read_thresholds(path: Path) -> dict[str, Threshold]:
    """Read the fitted thresholds of a model, by rule; empty if the file is missing.

    Raises:
        DamagedFile: the file does not hold fitted thresholds.
    """
    path = newest(path)
    if not path.is_file():
        return {}
    entries = read_json(
        path, dict[str, _ThresholdEntry], what="fitted thresholds", next_step=CALIBRATE
    )
    return {rule: entry.threshold() for rule, entry in entries.items()}


def read_thresholds_by_part(path: Path) -> dict[str, dict[str, Threshold]]:
    """Read the fitted thresholds of models that work together, by part and rule.

    Raises:
        DamagedFile: the file does not hold fitted thresholds of several models.
    """
    if not path.is_file():
        return {}
    kind, what = dict[str, dict[str, _ThresholdEntry]], "fitted thresholds of several models"
    entries = read_json(path, kind, what=what, next_step=CALIBRATE)
    return {
        part: {rule: entry.threshold() for rule, entry in by_rule.items()}
        for part, by_rule in entries.items()
    }


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return _cached_adapter(kind)


@cache
def _cached_adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _describe(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "values that are nested too deeply"
    first: Mapping[str, Any] = dict(error.errors(include_url=False, include_input=False)[0])
    where = ".".join(str(part)[:40] for part in first["loc"][:6])
    more = f" and {error.error_count() - 1} other errors" if error.error_count() > 1 else ""
    return f"{where + ': ' if where else ''}{str(first['msg'])[:160]}{more}"
