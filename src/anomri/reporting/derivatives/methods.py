"""The methods paragraph of a run, ready to paste: what happened to every scan, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anomri.reporting.derivatives.sidecar import Record, unit_from

RULES = {
    "fixed": "a fixed threshold",
    "healthy": "a threshold fitted to healthy scans",
    "healthy_decision": "a threshold fitted so that the whole decision keeps to a volume in "
    "healthy scans",
    "robust": "a threshold from the median and median absolute deviation of each scan",
    "labelled": "a threshold chosen on labelled validation scans",
    "mixture": "a threshold from a two-component mixture",
    "oracle": "an oracle threshold, chosen on the labels of the evaluated scans themselves, which "
    "no user would have",
}
WORDS = {
    "erode_brain": "erosion of the brain mask",
    "median": "a median filter",
    "standardise": "standardisation by the scan's own median and median absolute deviation",
    "smooth": "a Gaussian filter",
    "above": "thresholding",
    "hysteresis": "hysteresis thresholding",
    "grow": "growing from a core above the threshold",
    "mixture": "a neighbourhood-weighted Gaussian mixture",
    "open": "opening",
    "close": "closing",
    "fill_holes": "filling of holes",
    "remove_small": "removal of small components",
    "largest": "keeping the largest component",
    "residual": "difference between the scan and what the model expects",
    "segment": "probability of the lesion that the network gives each voxel",
    "segment_coarsely": "probability of the lesion that the network gives each voxel of a "
    "coarser copy",
    "zscore": "mean and standard deviation",
    "percentile": "percentiles",
    "equalised": "histogram equalisation",
    "standardised": "median and robust standard deviation",
    "n4": "N4",
}
"""Function of a recipe to what a paper would call it."""
BRIGHTNESS = "intensity"
"""The family that expects the same brightness everywhere and needs no network."""
NO_NETWORK = "a rule on brightness, without a network"


def methods_text(records: Sequence[Record]) -> str:
    """Describe in a paragraph how the scans were analysed; empty without scans."""
    if not records:
        return ""
    source = records[0].provenance
    beside = source.get("beside")
    sentences = [
        _first_sentence(records),
        _brain_sentence(records),
        _preparation_sentence(source.get("preparation", {}), records),
        _map_sentence(source),
        _threshold_sentence(records),
        _small_sentence(records),
        _beside_sentence(beside) if beside else _regions_sentence(records),
        "Volumes are in millilitres and positions in millimetres of the scanner or template space "
        "of the input file.",
    ]
    return " ".join(" ".join(sentence.split()) for sentence in sentences if sentence)


def model_names(record: Record) -> str:
    """Name every recipe that looked at a scan, with its contrasts and its network."""
    source = record.provenance
    beside = source.get("beside")
    models = [source, beside] if beside else [source]
    return " beside ".join(_model(model, record, alone=len(models) == 1) for model in models)


def _first_sentence(records: Sequence[Record]) -> str:
    record = records[0]
    contrasts = ", ".join(contrast.upper() for contrast in record.contrasts)
    verb = "was" if len(records) == 1 else "were"
    anomri = f"anomri {record.provenance.get('anomri_version', '')}".strip()
    return (
        f"{_count(len(records), 'scan')} ({contrasts}) {verb} analysed with {anomri}, "
        f"{model_names(record)}."
    )


def _model(source: Mapping[str, Any], record: Record, *, alone: bool) -> str:
    family, digest = source.get("family", "unnamed"), source.get("weights_sha256")
    network = NO_NETWORK if family == BRIGHTNESS else f"model {family}"
    weights = f", weights SHA-256 {digest}" if digest else ""
    shows = source.get("detection", {}).get("shows")
    pairs = zip(record.contrasts, record.shows, strict=False)
    own = "" if alone else ", ".join(name.upper() for name, part in pairs if part == shows)
    on = f" on {own}" if own else ""
    optional = ", ".join(name.upper() for name in source.get("optional", ()))
    more = f"; it sees {optional} too, where there are any" if optional else ""
    return f"recipe '{source.get('recipe', 'unnamed')}'{on} ({network}{weights}{more})"


def _brain_sentence(records: Sequence[Record]) -> str:
    found = [
        (sum(any(words in note for note in record.notes) for record in records), who)
        for words, who in (
            ("brain found by deepbet", "deepbet"),
            ("brain found by HD-BET", "HD-BET"),
        )
    ]
    return " ".join(
        f"In {_count(number, 'whole head')} the brain was found by {who}."
        for number, who in found
        if number
    )


def _preparation_sentence(section: Mapping[str, Any], records: Sequence[Record]) -> str:
    """Say how files became scans; empty where an older sidecar does not tell."""
    if not section:
        return ""
    moved = sum(any(" was moved by " in note for note in record.notes) for record in records)
    template, bias = section.get("template"), section.get("bias_field")
    parts = [
        f"contrasts were registered rigidly to the first one in {_count(moved, 'scan')}"
        if moved
        else "",
        f"slow changes of brightness were corrected with {_step(bias)}" if bias else "",
        f"brains were registered to the MNI152 template (ICBM 2009a, symmetric; "
        f"{template.get('transform')}, mutual information)"
        if template
        else "",
        _voxels(section.get("spacing_mm", ())),
        f"intensities were scaled in the brain by {_step(section.get('intensity', {}))}",
    ]
    text = "; ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:]}."


def _voxels(spacing: Sequence[float | None]) -> str:
    if not any(spacing):
        return "voxels were left as they are"
    sides = " × ".join("own" if side is None else f"{side:g}" for side in spacing)
    return f"voxels were resampled to {sides} mm"


def _map_sentence(source: Mapping[str, Any]) -> str:
    section = source.get("detection", {})
    if not section.get("score", {}).get("name"):
        return ""
    cleaned = _chain(", cleaned by ", section.get("clean", []))
    refined = _chain(", refined by ", section.get("refine", []))
    return (
        f"The anomaly map is the {_score(source)}{cleaned}; "
        f"the mask was decided by {_step(section.get('decide') or {})}{refined}."
    )


def _score(source: Mapping[str, Any]) -> str:
    """Name what the map holds; without a network nothing is expected but darkness."""
    score = source["detection"]["score"]
    if source.get("family") == BRIGHTNESS and score["name"] == "residual":
        return "brightness itself"
    return _step(score)


def _small_sentence(records: Sequence[Record]) -> str:
    """Say in which scans a model of small lesions added to the mask, and how."""
    source = records[0].provenance.get("small")
    number = sum(any(note.startswith("no mass") for note in record.notes) for record in records)
    if not source or not number:
        return ""
    section = source.get("detection", {})
    cut = section.get("threshold", {}).get("options", {}).get("value", 0)
    radius = records[0].provenance["detection"]["mass_mm"]
    return (
        f"In {_count(number, 'scan')} no ball of {radius:g} mm radius fitted into the mask; "
        f"lesions of recipe '{source.get('recipe', 'unnamed')}' (model {source.get('family')}, "
        f"weights SHA-256 {source.get('weights_sha256')}) were added: {_score(source)}, above "
        f"{cut:g}{_chain(', followed by ', section.get('refine', []))}."
    )


def _beside_sentence(source: Mapping[str, Any]) -> str:
    """Say what the second of two models did, and how the regions came from both."""
    section = source.get("detection", {})
    cut = source.get("threshold", {})
    cleaned = _chain(", cleaned by ", section.get("clean", []))
    units = unit_from(source, section.get("score", {}).get("name", ""))
    return (
        f"Inside that mask recipe '{source.get('recipe', 'unnamed')}' showed the enhancing tumour: "
        f"{_score(source)}{cleaned}, above {cut.get('value', 0):.4g} {units}. The core is the "
        "convex hull of the enhancing tumour, and what is left of the mask is edema."
    )


def _regions_sentence(records: Sequence[Record]) -> str:
    if not any(record.regions for record in records):
        return ""
    return "Tumour core and enhancing tumour are outputs of the same network, inside the mask."


def _chain(verb: str, steps: Sequence[Mapping[str, Any]]) -> str:
    return verb + ", then ".join(_step(step) for step in steps) if steps else ""


def _step(step: Mapping[str, Any]) -> str:
    """Name a step in words, its options behind it."""
    name = str(step.get("name", "an unnamed step"))
    options = ", ".join(_option(key, value) for key, value in step.get("options", {}).items())
    words = WORDS.get(name, name.replace("_", " "))
    return f"{words} ({options})" if options else words


def _option(name: str, value: object) -> str:
    """Write ``size_mm: 6`` as ``size 6 mm``; a sign says what it is by itself."""
    if name == "sign":
        return str(value)
    *words, last = name.split("_")
    unit = f" {last}" if last in ("mm", "ml") else ""
    return " ".join([*words, *([] if unit else [last]), f"{value}{unit}"])


def _threshold_sentence(records: Sequence[Record]) -> str:
    record, threshold = records[0], records[0].threshold
    rule = RULES.get(threshold.rule, f"the threshold rule '{threshold.rule}'")
    fitted = f", fitted on {_count(threshold.fitted_on, 'subject')}" if threshold.fitted_on else ""
    healthy = threshold.expected_false_positive_ml
    expected = (
        "" if healthy is None else f", with {healthy:.2g} ml expected above it in a healthy scan"
    )
    if held := threshold.marked_on_healthy:
        expected += (
            f"; on healthy tissue of {_count(held.scans, 'scan')} that had no part in it, the "
            f"whole decision marked {held.median_ml:.1f} ml (median; mean {held.mean_ml:.1f} ml, "
            f"95th percentile {held.upper_ml:.1f} ml)"
        )
    value = "" if threshold.rule == "robust" else f" of {threshold.value:.4g} ({record.units})"
    return f"Voxels were called abnormal by {rule}{value}{fitted}{expected}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
