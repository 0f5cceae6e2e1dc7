from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from anomri.detector import load
from anomri.reporting import Record
from anomri.reporting.derivatives.citations import citations
from anomri.reporting.derivatives.methods import methods_text, model_names
from anomri.scan import Detection

Detect = Callable[..., Detection]


@pytest.fixture
def record(detect: Detect) -> Record:
    return Record.of(detect())


def told(record: Record, source: dict[str, Any], **changes: Any) -> Record:
    """Return the record as if another model had made it."""
    return record.model_copy(update={"provenance": source, **changes})


def test_every_model_that_looked_is_named(record: Record) -> None:
    source = load("intensity_regions", device="cpu").provenance()
    source["beside"] = {**source["beside"], "threshold": {"value": 1.5, "rule": "fixed"}}
    both = told(record, source, contrasts=("flair", "t1ce"), shows=("whole", "enhancing"))
    assert model_names(both) == (
        "recipe 'intensity' on FLAIR (a rule on brightness, without a network) beside "
        "recipe 'intensity_t1ce' on T1CE (a rule on brightness, without a network)"
    )
    text = methods_text([both])
    assert "1 scan (FLAIR, T1CE) was analysed" in text
    assert "recipe 'intensity_t1ce' showed the enhancing tumour: brightness itself" in text
    assert "above 1.5 robust standard deviations of the scan" in text
    assert "convex hull" in text
    assert len([paper for paper in citations([both]) if "Weninger" in paper]) == 1


def test_a_network_that_segments_gives_a_probability(record: Record) -> None:
    source = load("lesions", device="cpu").provenance()
    lesions = told(record, source, units="tumour probability", regions=True)
    text = methods_text([lesions])
    assert "model folded_segmenter, weights SHA-256" in text
    assert "it sees T1CE, T1, T2 too, where there are any" in text
    assert "probability of the lesion" in text
    assert "Voxels were left as they are" in text
    assert "outputs of the same network" in text
    assert "intensity" not in text.replace("intensities", "")
    assert any("Myronenko" in paper for paper in citations([lesions]))


def test_what_a_model_of_small_lesions_added_is_told_where_it_did(record: Record) -> None:
    source = load("default", device="cpu").provenance()
    one, other = told(record, source), told(record, source, notes=("no mass: lesions added",))
    assert "lesions_bright" not in methods_text([one])
    text = methods_text([one, other])
    assert "In 1 scan no ball of 7 mm radius fitted into the mask" in text
    assert "recipe 'lesions_bright' (model folded_segmenter, weights SHA-256" in text
    assert "brighter than 2.5), above 0.5, followed by removal of small components" in text


def test_what_happened_to_the_scans_is_told(record: Record) -> None:
    source = load("intensity", device="cpu").provenance()
    source["preparation"] |= {
        "bias_field": {"name": "n4", "options": {}},
        "template": {"transform": "affine", "resample": False},
    }
    notes = (
        "whole head: brain found by deepbet; look at its outline",
        "t1.nii.gz was moved by 2.0 mm and 1.0 degrees to lie on flair.nii.gz",
    )
    records = [told(record, source, notes=notes), told(record, source)]
    text = methods_text(records)
    assert "In 1 whole head the brain was found by deepbet" in text
    assert "registered rigidly to the first one in 1 scan;" in text
    assert "corrected with N4" in text
    assert "MNI152 template (ICBM 2009a, symmetric; affine" in text
    assert "resampled to 1.5 × 1.5 × own mm" in text
    papers = " ".join(citations(records))
    assert "Tustison" in papers
    assert "Fonov" in papers
    assert "Isensee" not in papers
    beside = told(record, source, notes=("whole head: brain found by HD-BET",))
    assert "Isensee" in " ".join(citations([beside]))


def test_an_old_sidecar_tells_less_and_still_something(detect: Detect) -> None:
    text = methods_text([Record.of(replace(detect(), provenance={}))])
    assert "recipe 'unnamed'" in text
    assert methods_text([]) == ""
