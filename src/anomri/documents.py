"""Text, JSON and YAML of anomri's own: read whole, within limits, and validated by a model.

A file on disk may be cut, edited by hand or written by somebody else. Whatever is wrong with it
becomes a :class:`~anomri.errors.DamagedFile` that names it; no error of a parser passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from anomri.errors import AnomriError, DamagedFile
from anomri.files import newest
from anomri.scan import HealthyVolume, Threshold

MAX_JSON_BYTES = 256 << 20  # the viewer's copy of a large scan has some 20 MB
MAX_TABLE_BYTES = 256 << 20
MAX_YAML_BYTES = 1 << 20  # the largest recipe of ours has 6 kB
MAX_YAML_NODES = 20_000
MAX_YAML_DEPTH = 20
MAX_DIGITS = 32  # of a whole number; Python refuses to write numbers of more than 4300

RUN_AGAIN = "delete it and run the command that wrote it again"

T = TypeVar("T")


def read_bytes(path: Path, *, limit: int, next_step: str = RUN_AGAIN) -> bytes:
    """Read a file of at most ``limit`` bytes.

    Raises:
        DamagedFile: it is larger.
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
    """Read text in UTF-8, with or without the mark that spreadsheets begin with.

    Raises:
        DamagedFile: it is too large, or in another encoding.
    """
    content = read_bytes(path, limit=limit, next_step=next_step)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedFile(
            path,
            expected="text in UTF-8",
            got=f"other bytes at position {error.start}",
            next_step=f"save it as UTF-8, or {next_step}",
        ) from error


def read_json(path: Path, kind: type[T], *, what: str, next_step: str = RUN_AGAIN) -> T:
    """Read JSON into a pydantic model, a dataclass or a typed collection of them.

    Args:
        path: the file.
        kind: what it must hold, such as ``dict[str, Any]`` or a model.
        what: the same in words, for the error.
        next_step: one sentence on how to go on where it does not.

    Raises:
        DamagedFile: it is too large, is not JSON, or does not validate.
    """
    content = read_bytes(path, limit=MAX_JSON_BYTES, next_step=next_step)
    try:
        read: T = _adapter(kind).validate_json(content.removeprefix(b"\xef\xbb\xbf"))
    except (ValidationError, RecursionError, MemoryError) as error:
        raise DamagedFile(path, expected=what, got=_in_words(error), next_step=next_step) from error
    return read


@contextmanager
def undamaged(path: Path, *, what: str, next_step: str = RUN_AGAIN) -> Iterator[None]:
    """Turn whatever a library raises at a file of anomri's own into :class:`DamagedFile`.

    For what is neither text nor JSON, such as tensors and prepared volumes.

    Args:
        path: at fault where something is raised.
        what: it should hold.
        next_step: one sentence on how to go on.
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
    """Read one YAML document within limits; no alias, no tag that names code.

    Raises:
        YAMLError: it is no YAML, or passes a limit; the message says where.
    """
    if len(text) > MAX_YAML_BYTES:
        raise yaml.YAMLError(f"expected at most {MAX_YAML_BYTES} letters, got {len(text)}")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader with limits
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError, IndexError) as error:
        # Such as a date without such a day: PyYAML lets what Python says of it pass.
        raise yaml.YAMLError(f"a value that cannot be read ({str(error)[:80]})") from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader: small documents of numbers, words, lists and mappings.

    An alias lets a document of 1 kB stand for gigabytes, and recipes have no use for one.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node unless it is an alias, too deep, or one too many."""
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
        """Return a whole number of at most :data:`MAX_DIGITS` digits."""
        if len(node.value) > MAX_DIGITS:
            self._refuse(f"expected a number of at most {MAX_DIGITS} digits")
        return int(super().construct_yaml_int(node))

    def _refuse(self, text: str) -> None:
        raise yaml.MarkedYAMLError(problem=text, problem_mark=self.get_mark())


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Marked(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    mean_ml: float
    median_ml: float
    upper_ml: float
    scans: int = Field(ge=0)


class _Fitted(BaseModel):
    """A threshold as calibration writes it; the newer versions' entries are left out."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    value: float
    rule: str
    fitted_on: tuple[str, ...]
    false_positive_ml: float | None
    marked: _Marked | None = None

    def threshold(self) -> Threshold:
        marked = HealthyVolume(**dict(self.marked)) if self.marked else None
        return Threshold(**{**dict(self), "marked": marked})


CALIBRATE = "delete it and run `anomri calibrate` again"


def read_thresholds(path: Path) -> dict[str, Threshold]:
    """Read what was fitted to a model, by rule; nothing where there is no file.

    Raises:
        DamagedFile: it does not hold fitted thresholds.
    """
    path = newest(path)
    if not path.is_file():
        return {}
    held = read_json(path, dict[str, _Fitted], what="fitted thresholds", next_step=CALIBRATE)
    return {rule: entry.threshold() for rule, entry in held.items()}


def read_thresholds_by_part(path: Path) -> dict[str, dict[str, Threshold]]:
    """Read what was fitted to models that work together, by part and rule.

    Raises:
        DamagedFile: it does not hold fitted thresholds of several models.
    """
    if not path.is_file():
        return {}
    kind, what = dict[str, dict[str, _Fitted]], "fitted thresholds of several models"
    held = read_json(path, kind, what=what, next_step=CALIBRATE)
    return {
        part: {rule: entry.threshold() for rule, entry in by_rule.items()}
        for part, by_rule in held.items()
    }


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return _cached_adapter(kind)


@cache
def _cached_adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _in_words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "values that are nested too deep"
    first: Mapping[str, Any] = dict(error.errors(include_url=False, include_input=False)[0])
    where = ".".join(str(part)[:40] for part in first["loc"][:6])
    more = f" and {error.error_count() - 1} other faults" if error.error_count() > 1 else ""
    return f"{where + ': ' if where else ''}{str(first['msg'])[:160]}{more}"
