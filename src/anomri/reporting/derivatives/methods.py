"""The methods paragraph of a run, ready to paste, and the papers to cite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from anomri.reporting.derivatives.method_steps import (
    BRAIN_METHODS,
    FAMILIES,
    THRESHOLDS,
    Described,
    described,
)
from anomri.reporting.derivatives.sidecar import Record
from anomri.reporting.formatting import counted
from anomri.scan import (
    ADD_IF_NO_MASS,
    COMBINE_LOG_ODDS,
    COMPETE,
    CORRECT,
    NAME_REGIONS,
    MapProvenance,
    NoteKind,
    StepFacts,
)

BRIGHTNESS = "intensity"
"""The family without a network: it reconstructs nothing, so that its residual is the image."""


def methods_text(records: Sequence[Record]) -> str:
    """Describe in a paragraph how the scans were analysed; empty without scans."""
    if not records:
        return ""
    rule = records[0].threshold.rule
    text = _template().render(
        records=records,
        record=records[0],
        models=model_names(records[0]),
        brains=[(_noted(records, kind), how) for kind, how in BRAIN_METHODS.items()],
        located=any(item.zone for record in records for item in record.findings),
        realigned=_noted(records, NoteKind.REALIGNED),
        rule=THRESHOLDS.get(rule, Described(f"the threshold rule '{rule}'")),
        small=_maps_used(records, ADD_IF_NO_MASS),
        enhancing=_maps_used(records, NAME_REGIONS),
        grown=_maps_used(records, COMPETE),
        corrected=_maps_used(records, CORRECT),
        combined=_maps_used(records, COMBINE_LOG_ODDS),
    )
    return " ".join(text.split())


def model_names(record: Record) -> str:
    """Name the model, and the recipe of each map with its contrasts and its network."""
    source = record.provenance
    maps = [source.first, *_maps_used([record], NAME_REGIONS)]
    name = "" if source.recipe == source.first.recipe else f"model '{source.recipe}': "
    if len(maps) == 1:
        return name + _map(maps[0])
    shown = list(zip(record.contrasts, record.shows, strict=False))
    own = ([name for name, region in shown if region == item.detection.shows] for item in maps)
    return name + " with ".join(_map(item, names) for item, names in zip(maps, own, strict=True))


def citations(records: Sequence[Record]) -> list[str]:
    """Return the papers behind the model and its steps, anomri itself first."""
    version = records[0].provenance.anomri_version if records else ""
    own = f"The anomri authors. anomri: unsupervised detection of lesions in brain MRI. {version}"
    papers = dict.fromkeys(paper for record in records for paper in _papers(record) if paper)
    return [own.strip() + ".", *papers]


def _maps_used(records: Sequence[Record], step: str) -> list[MapProvenance]:
    """Return the map that a step of the segmentation used, of each scan in which it did."""
    maps = (record.provenance.map_of(step) for record in records)
    return [item for item in maps if item is not None and item.threshold is not None]


def _noted(records: Sequence[Record], kind: NoteKind) -> int:
    """Return how many scans have a note of a kind."""
    return sum(record.has_note(kind) for record in records)


def _papers(record: Record) -> Iterator[str]:
    for item in record.provenance.maps:
        detection, preparation = item.detection, item.preparation
        yield FAMILIES.get(item.family, "")
        steps = (detection.score, *detection.clean, detection.decide, *detection.refine)
        yield from (described(step.name).paper for step in steps if step)
        if detection.threshold:
            yield THRESHOLDS.get(detection.threshold.name, Described("")).paper
        if preparation.bias_field:
            yield described(preparation.bias_field.name).paper
        if preparation.template or any(item.zone for item in record.findings):
            yield described("template").paper
    yield from (described(step.name).paper for step in record.provenance.segmentation)
    yield from (how.paper for kind, how in BRAIN_METHODS.items() if record.has_note(kind))


def _map(item: MapProvenance, contrasts: Sequence[str] = ()) -> str:
    """Name the recipe of a map, and its contrasts where other maps have others."""
    on = f" on {', '.join(contrasts).upper()}" if contrasts else ""
    facts = [
        "brightness, no network" if item.family == BRIGHTNESS else f"network {item.family}",
        f"weights SHA-256 {item.weights_sha256}" if item.weights_sha256 else "",
        f"{', '.join(item.optional).upper()} where available" if item.optional else "",
    ]
    return f"recipe '{item.recipe}'{on} ({'; '.join(filter(None, facts))})"


@cache
def _template() -> Template:
    # Plain text: the page that shows it escapes it.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("anomri.reporting"), undefined=StrictUndefined
    )
    environment.filters.update(
        count=counted, recipe=_map, step=_step, score=_score, units=MapProvenance.units
    )
    environment.globals["described"] = described
    return environment.get_template("methods.txt.j2")


def _score(item: MapProvenance) -> str:
    """Name what a map holds."""
    score = item.detection.score or StepFacts()
    if item.family == BRIGHTNESS and score.name == "residual":
        return "the image intensity itself"
    return _step(score)


def _step(step: StepFacts) -> str:
    """Name a step in words, with its options in parentheses."""
    options = ", ".join(_option(key, value) for key, value in step.options.items())
    phrase = described(step.name).phrase
    return f"{phrase} ({options})" if options else phrase


def _option(name: str, value: object) -> str:
    """Write ``size_mm: 6`` as ``size 6 mm``; the value of ``sign`` needs no name."""
    if name == "sign":
        return str(value)
    *words, last = name.split("_")
    unit = f" {last}" if last in ("mm", "ml") else ""
    return " ".join([*words, *([] if unit else [last]), f"{value}{unit}"])
