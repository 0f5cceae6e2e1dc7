"""What a sidecar's provenance must look like for its readers; more may stand in it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class _Step(_Open):
    name: str = ""
    options: dict[str, Any] = {}


class _Template(_Open):
    transform: str = ""


class _Preparation(_Open):
    template: _Template | None = None
    bias_field: _Step | None = None
    spacing_mm: tuple[float | None, ...] = ()
    intensity: _Step = _Step()


class _Section(_Open):
    shows: str | None = None
    score: _Step = _Step()
    clean: tuple[_Step, ...] = ()
    refine: tuple[_Step, ...] = ()
    decide: _Step | None = None
    threshold: _Step | None = None
    mass_mm: float = 0.0


class _Cut(_Open):
    value: float = 0.0


class ProvenanceShape(_Open):
    """The parts of a provenance that pages and tables read."""

    anomri_version: str = ""
    recipe: str = "unnamed"
    family: str = "unnamed"
    weights_sha256: str | None = None
    optional: tuple[str, ...] = ()
    preparation: _Preparation = _Preparation()
    detection: _Section = _Section()
    threshold: _Cut | None = None
    reconstruction_mae: float | None = None
    key: str = ""
    beside: ProvenanceShape | None = None
    small: ProvenanceShape | None = None


def checked_provenance(value: dict[str, Any]) -> dict[str, Any]:
    """Return a provenance as it is, where its readers can read it.

    Raises:
        ValueError: a part of it is of another kind.
    """
    ProvenanceShape.model_validate(value)
    return value
