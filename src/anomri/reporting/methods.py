"""The methods paragraph and the citations of a run, ready to paste."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anomri.reporting.record import Record

PAPERS = {
    "weninger": "Weninger L, Krauhausen I, Merhof D. Semantic segmentation of brain tumors in "
    "MRI data without any labels. 2019.",
    "lambert": "Lambert B, Louis M, Doyle S, Forbes F, Dojat M, Tucholka A. Leveraging 3D "
    "information in unsupervised brain MRI segmentation. 2021.",
    "paolini": "Paolini G, Boracchi G, Matteucci M. Unsupervised detection of lesion in brain "
    "MRI using context encoding autoencoders.",
    "meissen": "Meissen F, Kaissis G, Rueckert D. Challenging current semi-supervised anomaly "
    "segmentation methods for brain MRI. 2021. arXiv:2109.06023.",
}
CITED_FOR = {
    "intensity": "meissen",
    "vae": "weninger",
    "dvae": "weninger",
    "mixture": "weninger",
}
"""Function or family of a recipe to the paper that describes it."""

RULES = {
    "fixed": "a fixed threshold",
    "healthy": "a threshold fitted to healthy scans",
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
}
"""Function of a recipe to what a paper would call it."""


def methods_text(records: Sequence[Record]) -> str:
    """Describe in a paragraph how the scans were analysed; empty without scans."""
    if not records:
        return ""
    record = records[0]
    source = record.provenance
    sentences = [
        f"{_count(len(records), 'scan')} ({', '.join(c.upper() for c in record.contrasts)}) "
        f"{'was' if len(records) == 1 else 'were'} analysed with anomri "
        f"{source.get('anomri_version', '')}, recipe '{source.get('recipe', 'unnamed')}' "
        f"(model {source.get('family', 'unnamed')}{_weights(source)}).",
        _cleaning_sentence(source),
        _threshold_sentence(record),
        "Volumes are in millilitres and positions in millimetres of the scanner or template space "
        "of the input file.",
    ]
    return " ".join(" ".join(sentence.split()) for sentence in sentences if sentence)


def citations(records: Sequence[Record]) -> list[str]:
    """Return the papers behind what was used, anomri itself first."""
    names = [name for record in records[:1] for name in _used(record.provenance)]
    papers = dict.fromkeys(CITED_FOR[name] for name in names if name in CITED_FOR)
    version = records[0].provenance.get("anomri_version", "") if records else ""
    own = f"The anomri authors. anomri: what does not look healthy in a brain MRI. {version}"
    return [own.strip() + ".", *(PAPERS[paper] for paper in papers)]


def _used(source: dict[str, Any]) -> list[str]:
    section = source.get("detection", {})
    steps = [section.get(part, {}).get("name", "") for part in ("decide", "threshold")]
    return [source.get("family", ""), *steps]


def _weights(source: dict[str, Any]) -> str:
    digest = source.get("weights_sha256")
    return f", weights SHA-256 {digest}" if digest else ""


def _cleaning_sentence(source: dict[str, Any]) -> str:
    section = source.get("detection", {})
    score = section.get("score", {}).get("name")
    if not score:
        return ""
    cleaned = _chain(", cleaned by ", section.get("clean", []))
    refined = _chain(", refined by ", section.get("refine", []))
    return (
        f"The anomaly map is the {_step(section['score'])}{cleaned}; "
        f"the mask was decided by {_step(section.get('decide', {}))}{refined}."
    )


def _chain(verb: str, steps: list[dict[str, Any]]) -> str:
    return verb + ", then ".join(_step(step) for step in steps) if steps else ""


def _step(step: dict[str, Any]) -> str:
    """Name a step in words, its options behind it."""
    name = str(step.get("name", "an unnamed step"))
    options = ", ".join(_option(key, value) for key, value in step.get("options", {}).items())
    words = WORDS.get(name, name.replace("_", " "))
    return f"{words} ({options})" if options else words


def _option(name: str, value: object) -> str:
    """Write ``size_mm: 6`` as ``size 6 mm``."""
    *words, last = name.split("_")
    unit = f" {last}" if last in ("mm", "ml") else ""
    return " ".join([*words, *([] if unit else [last]), f"{value}{unit}"])


def _threshold_sentence(record: Record) -> str:
    threshold = record.threshold
    rule = RULES.get(threshold.rule, f"the threshold rule '{threshold.rule}'")
    fitted = f", fitted on {_count(threshold.fitted_on, 'subject')}" if threshold.fitted_on else ""
    healthy = threshold.expected_false_positive_ml
    expected = (
        ""
        if healthy is None
        else (f", with {healthy:.2g} ml of false positives expected on a healthy scan")
    )
    value = "" if threshold.rule == "robust" else f" of {threshold.value:.4g} {record.units}"
    return f"Voxels were called abnormal by {rule}{value}{fitted}{expected}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
