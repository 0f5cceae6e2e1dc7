"""A site's rules: which DICOM series is which contrast, and which studies are meant at all.

::

    studies:                        # only studies with a series that fits; all if omitted
      BodyPartExamined: [HEAD, BRAIN]
    series:                         # the first rule that fits decides
      - contrast: flair
        where: {SeriesDescription: "*flair*", MRAcquisitionType: 3D}
      - contrast: flair             # used where no series fits the rule above
        where: {SeriesDescription: "*flair*", EchoTime: {min: 80, max: 160}}
      - contrast: ignore
        where: {SeriesDescription: "*subtraction*"}
    otherwise: recognise            # or ignore: series that no rule fits

=====================  ==================================================================
condition              fits
=====================  ==================================================================
``"*flair*"``          text, upper or lower case; ``*`` and ``?`` stand for any characters
``3``                  this number
``[HEAD, BRAIN]``      any of these
``{min: 80, max: 9}``  a number within these bounds; one of them may be omitted
=====================  ==================================================================

Several values of a tag are one text, separated by blanks. Tags that identify a patient cannot be
named. A site's file is read by the safe YAML reader within its limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from anomri.datasets.dicom.recognition import MR_CLASSES, Decision, incomplete, recognise
from anomri.datasets.dicom.rule_tags import RULE_TAGS
from anomri.datasets.dicom.series import Series
from anomri.errors import DamagedFile, UsageError
from anomri.files import MAX_YAML_BYTES, parse_yaml, read_text

IGNORE = "ignore"
MAX_RULES = 200
MAX_CHOICES = 50
MAX_PATTERN = 200  # characters
NEXT = "correct the file; its form is described in docs/serve.md"


class Bounds(BaseModel):
    """Bounds of a number; one of them may be missing."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min: float = Field(-math.inf, allow_inf_nan=True)
    max: float = Field(math.inf, allow_inf_nan=True)


Text = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN)]
Value = Text | float
Condition = Bounds | Value | Annotated[list[Value], Field(min_length=1, max_length=MAX_CHOICES)]


def _known(tag: object) -> object:
    if tag not in RULE_TAGS:
        raise ValueError(f"expected one of {', '.join(RULE_TAGS)}")
    return tag


Tag = Annotated[str, BeforeValidator(_known)]
Conditions = dict[Tag, Condition]


class SeriesRule(BaseModel):
    """A contrast, and the conditions on tags that its series fulfils.

    Attributes:
        contrast: of the series, or ``ignore``.
        where: conditions by tag; all must hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    contrast: Literal["flair", "t1", "t1ce", "t2", "ignore"]
    where: Annotated[Conditions, Field(min_length=1)]


class SiteRules(BaseModel):
    """The content of a site's ``series.yaml``.

    Attributes:
        studies: conditions by tag that a series of a study must fulfil, or it is left alone.
        series: the first rule that fits a series decides; of several series of one contrast, those
            of the earliest rule are used.
        otherwise: whether series that no rule fits are recognised from their headers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    studies: Conditions = {}
    series: Annotated[tuple[SeriesRule, ...], Field(max_length=MAX_RULES)] = ()
    otherwise: Literal["recognise", "ignore"] = "recognise"

    @classmethod
    def read(cls, path: Path) -> SiteRules:
        """Read a site's rules.

        Raises:
            UsageError: the file is missing, is no YAML, or does not validate.
        """
        try:
            text = read_text(path, limit=MAX_YAML_BYTES, next_step=NEXT)
            return cls.model_validate(parse_yaml(text) or {})
        except OSError as error:
            raise UsageError(
                f"{path.name}: expected a file with rules: {error.strerror}. Next: check the path."
            ) from error
        except DamagedFile as error:
            raise UsageError(str(error)) from error
        except yaml.YAMLError as error:
            raise UsageError(f"{path.name}: expected YAML: {error}. Next: {NEXT}.") from error
        except ValidationError as error:
            raise UsageError(f"{path.name}: {_first_fault(error)}. Next: {NEXT}.") from error

    def wants(self, tags: Mapping[str, str]) -> bool:
        """Whether a series with these tags makes its study one that is meant."""
        # Orthanc separates the values of a tag by the backslash, as files do.
        return _fits(self.studies, lambda tag: tags.get(tag, "").replace("\\", " "))

    def decide(self, found: Sequence[Series]) -> list[Decision]:
        """Return the contrast of each series; of one contrast, those of the earliest rule."""
        ranked = [self._first_fitting(series) for series in found]
        decisions = [
            self._decision(series, rule) for series, rule in zip(found, ranked, strict=True)
        ]
        best: dict[tuple[object, str], int] = {}
        keys = [
            (series.study, decision.contrast or "")
            for series, decision in zip(found, decisions, strict=True)
        ]
        for key, rule in zip(keys, ranked, strict=True):
            best[key] = min(best.get(key, rule), rule)
        return [
            _replaced(decision, best[key]) if decision.contrast and rule > best[key] else decision
            for decision, key, rule in zip(decisions, keys, ranked, strict=True)
        ]

    def _first_fitting(self, series: Series) -> int:
        """Return the index of the first rule that fits; the number of rules where none does."""
        fitting = (n for n, rule in enumerate(self.series) if _fits(rule.where, series.text))
        return next(fitting, len(self.series))

    def _decision(self, series: Series, number: int) -> Decision:
        if number == len(self.series):
            unused = Decision(None, "no rule matches it")
            return recognise(series) if self.otherwise == "recognise" else unused
        contrast, reason = self.series[number].contrast, f"rule {number + 1}"
        if contrast == IGNORE:
            return Decision(None, f"{reason} ignores it")
        if series.text("Modality") != "MR" or series.text("SOPClassUID") not in MR_CLASSES:
            return Decision(None, f"{reason}, but not an MR image")
        fault = incomplete(series)
        return Decision(None, f"{reason}, but {fault}") if fault else Decision(contrast, reason)


def _replaced(decision: Decision, rule: int) -> Decision:
    return Decision(None, f"{decision.reason}; rule {rule + 1} has another {decision.contrast}")


def _fits(conditions: Mapping[str, Condition], text_of: Callable[[str], str]) -> bool:
    return all(fits(condition, text_of(tag)) for tag, condition in conditions.items())


def fits(condition: Condition, text: str) -> bool:
    """Whether the value of a tag fits a condition.

    >>> fits("*flair*", "AX T2 FLAIR"), fits(3.0, "3"), fits(Bounds(min=80), "")
    (True, True, False)
    >>> fits("t1 [post]", "T1 [post]")
    True
    """
    if isinstance(condition, list):
        return any(fits(choice, text) for choice in condition)
    if isinstance(condition, str):
        pattern = condition.lower().replace("[", "[[]")  # brackets are no set here
        return fnmatchcase(" ".join(text.split()).lower(), pattern)
    value = _number(text)
    if isinstance(condition, Bounds):
        return condition.min <= value <= condition.max
    return value == condition


def _number(text: str) -> float:
    """Return a tag as a number; NaN, which fits nothing, where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:40] for part in _without_types(first["loc"]))
    return f"{place or 'the file'}: {first['msg']}"


def _without_types(place: Iterable[int | str]) -> list[int | str]:
    """Return the place of a fault without the names of alternatives, which pydantic adds."""
    keys = {"studies", "series", "otherwise", "contrast", "where", "min", "max", *RULE_TAGS}
    return [part for part in place if isinstance(part, int) or part in keys]
