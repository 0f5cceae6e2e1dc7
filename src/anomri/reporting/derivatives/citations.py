"""The papers behind what was used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anomri.reporting.derivatives.sidecar import Record

PAPERS = {
    "weninger": "Weninger L, Krauhausen I, Merhof D. Semantic segmentation of brain tumors in "
    "MRI data without any labels. 2019.",
    "lambert": "Lambert B, Louis M, Doyle S, Forbes F, Dojat M, Tucholka A. Leveraging 3D "
    "information in unsupervised brain MRI segmentation. 2021.",
    "paolini": "Paolini G, Boracchi G, Matteucci M. Unsupervised detection of lesion in brain "
    "MRI using context encoding autoencoders.",
    "meissen": "Meissen F, Kaissis G, Rueckert D. Challenging current semi-supervised anomaly "
    "segmentation methods for brain MRI. 2021. arXiv:2109.06023.",
    "myronenko": "Myronenko A. 3D MRI brain tumor segmentation using autoencoder "
    "regularization. 2018. arXiv:1810.11654.",
    "tustison": "Tustison NJ, Avants BB, Cook PA, et al. N4ITK: improved N3 bias correction. "
    "IEEE Transactions on Medical Imaging 2010;29:1310-1320.",
    "fonov": "Fonov V, Evans AC, Botteron K, et al. Unbiased average age-appropriate atlases for "
    "pediatric studies. NeuroImage 2011;54:313-327.",
    "fisch": "Fisch L, Zumdick S, Barkhau C, et al. deepbet: fast brain extraction of T1-weighted "
    "MRI using convolutional neural networks. Computers in Biology and Medicine 2024;179:108845.",
    "isensee": "Isensee F, Schell M, Pflueger I, et al. Automated brain extraction of "
    "multisequence MRI using artificial neural networks. Human Brain Mapping 2019;40:4952-4964.",
}
CITED_FOR = {
    "intensity": "meissen",
    **dict.fromkeys(("vae", "dvae", "vae1px", "aae", "biaae"), "weninger"),
    **dict.fromkeys(("spatial_vae", "dense_vae"), "lambert"),
    **dict.fromkeys(("ae", "vae1", "vae2", "vqvae"), "paolini"),
    **dict.fromkeys(("regularised_segmenter", "folded_segmenter"), "myronenko"),
    "mixture": "weninger",
    "hull": "weninger",
    "n4": "tustison",
    "template": "fonov",
    "HD-BET": "isensee",
    "deepbet": "fisch",
}
"""Function or family of a recipe to the paper that describes it."""


def citations(records: Sequence[Record]) -> list[str]:
    """Return the papers behind what was used, anomri itself first."""
    version = records[0].provenance.get("anomri_version", "") if records else ""
    own = f"The anomri authors. anomri: what does not look healthy in a brain MRI. {version}"
    names = [name for record in records for name in _used(record)]
    papers = dict.fromkeys(CITED_FOR[name] for name in names if name in CITED_FOR)
    return [own.strip() + ".", *(PAPERS[paper] for paper in papers)]


def _used(record: Record) -> Iterator[str]:
    yield from _parts(record.provenance)
    beside = record.provenance.get("beside")
    if beside:
        yield from (*_parts(beside), "hull")
    for method in ("HD-BET", "deepbet"):
        if any(f"brain found by {method}" in note for note in record.notes):
            yield method


def _parts(source: Mapping[str, Any]) -> Iterator[str]:
    yield source.get("family", "")
    section, preparation = source.get("detection", {}), source.get("preparation", {})
    steps = [section.get("decide"), section.get("threshold"), preparation.get("bias_field")]
    yield from (step.get("name", "") for step in steps if step)
    if preparation.get("template"):
        yield "template"
