"""The methods paragraph and the papers to cite, for every model that ships or that a paper has."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anomri.detector import Detector, load
from anomri.recipe import Recipe, Step, Template
from anomri.reporting import Record
from anomri.reporting.derivatives.methods import citations, methods_text, model_names
from anomri.scan import Detection, Note, NoteKind, Provenance, Threshold

Detect = Callable[..., Detection]

ROWS = Path(__file__).parents[3] / "recipes"
# First authors; recorded before citations were looked up step by step.
CITED = {
    "default": {"Meissen", "Weninger"},
    "intensity": {"Meissen"},
    "intensity_regions": {"Meissen", "Weninger"},
    "intensity_t1ce": {"Meissen"},
    "lesions": {"Myronenko"},
    "lesions_bright": {"Myronenko"},
    "lambert2021": {"Lambert"},
    "myronenko2018": {"Myronenko"},
    "paolini": {"Paolini"},
    "weninger2019": {"Weninger"},
}
# Its network of small lesions was missing; region competition and local means came later.
ADDED = {"default": {"Myronenko", "Zhu", "Brinkmann", "Pohl"}}


@pytest.fixture
def record(detect: Detect) -> Record:
    return Record.of(detect())


def as_made_by(record: Record, source: Provenance, **changes: object) -> Record:
    """Return the record as if another model had made it."""
    return record.model_copy(update={"provenance": source, **changes})


def authors(records: list[Record]) -> set[str]:
    """Return the first authors of what is cited beside anomri."""
    return {citation.split()[0] for citation in citations(records)[1:]}


def test_every_map_is_named(record: Record) -> None:
    compared = {"enhancement": Threshold(value=1.5, rule="fixed")}
    source = load("intensity_regions", device="cpu").provenance(thresholds=compared)
    both = as_made_by(record, source, contrasts=("flair", "t1ce"), shows=("whole", "enhancing"))
    assert model_names(both) == (
        "model 'intensity_regions': recipe 'intensity' on FLAIR (brightness, no network) with "
        "recipe 'intensity_t1ce' on T1CE (brightness, no network)"
    )
    text = methods_text([both])
    assert text.startswith("1 scan (FLAIR, T1CE) was analysed with anomri ")
    assert "recipe 'intensity_t1ce' showed the enhancing tumour: the image intensity" in text
    assert "above 1.5 robust standard deviations of the scan" in text
    assert "convex hull" in text
    assert len([paper for paper in citations([both]) if "Weninger" in paper]) == 1


def test_a_model_is_named_where_its_first_map_has_another_name(record: Record) -> None:
    source = load("intensity", device="cpu").provenance().model_copy(update={"recipe": "mine"})
    named = model_names(as_made_by(record, source))
    assert named == "model 'mine': recipe 'intensity' (brightness, no network)"


def test_a_map_that_a_scan_had_not_is_not_described(record: Record) -> None:
    source = load("intensity_regions", device="cpu").provenance()
    assert "intensity_t1ce" not in methods_text([as_made_by(record, source)])


def test_growth_is_described_where_a_scan_had_it(record: Record) -> None:
    compared = {"contrasts": Threshold(value=0.8, rule="fixed")}
    model = load("default", device="cpu")
    grown, alone = (
        methods_text([as_made_by(record, model.provenance(thresholds=used))])
        for used in (compared, {})
    )
    assert "In 1 scan the mask was grown by region competition: in 8 iterations" in grown
    assert "the brain 6 to 20 mm away" in grown
    assert "region competition" not in alone


def test_a_network_that_segments_gives_a_probability(record: Record) -> None:
    source = load("lesions", device="cpu").provenance()
    lesions = as_made_by(record, source, units="tumour probability", regions=True)
    text = methods_text([lesions])
    assert "network folded_segmenter; weights SHA-256" in text
    assert "T1CE where available" in text
    assert "probability of a lesion" in text
    assert "resampled to 1.5 × 1.5 × original mm" in text
    assert "outputs of the same network" in text
    assert "intensity" not in text


def test_small_lesions_are_described_where_they_were_added(record: Record) -> None:
    model = load("default", device="cpu")
    compared = {"network": Threshold(value=3, rule="fixed")}
    source, added = model.provenance(), model.provenance(thresholds=compared)
    with_mass, without = as_made_by(record, source), as_made_by(record, added)
    assert "lesions_bright" not in methods_text([with_mass])
    text = methods_text([with_mass, without])
    assert "In 1 scan no ball of 7 mm radius fitted into the mask" in text
    assert "recipe 'lesions_bright' (network folded_segmenter; weights SHA-256" in text
    assert "penalty above 2, grey matter sd 4, level 3), above 3, followed by removal of" in text
    assert "(rim 4 mm, within 8 mm), then removal of small components" in text


def test_the_preparation_is_described(record: Record) -> None:
    recipe = Recipe.load("intensity")
    changes = {"bias_field": Step(name="n4"), "template": Template(transform="affine")}
    preparation = recipe.preparation.model_copy(update=changes)
    source = Detector.of(recipe.model_copy(update={"preparation": preparation}), []).provenance()
    notes = (Note(NoteKind.DEEPBET, "in any words"), Note(NoteKind.REALIGNED, "likewise"))
    records = [as_made_by(record, source, notes=notes), as_made_by(record, source)]
    text = methods_text(records)
    assert "In 1 whole head the brain was segmented with deepbet." in text
    assert "In 1 scan contrasts were registered rigidly to the first one." in text
    assert "The bias field was corrected with N4." in text
    assert (
        "the symmetric MNI152 template, ICBM 2009a (affine transform, mutual information)." in text
    )
    assert "resampled to 1.5 × 1.5 × original mm" in text
    assert authors(records) == {"Meissen", "Fisch", "Tustison", "Fonov"}
    hdbet = as_made_by(record, source, notes=(Note(NoteKind.HDBET, "in any words"),))
    assert "Isensee" in authors([hdbet])


@pytest.mark.parametrize("name", [name for name in CITED if not (ROWS / name).is_dir()])
def test_a_built_in_model_cites_its_papers(record: Record, name: str) -> None:
    source = load(name, device="cpu").provenance()
    assert authors([as_made_by(record, source)]) == CITED[name] | ADDED.get(name, set())


@pytest.mark.parametrize("row", sorted(ROWS.glob("*/rows/*.yaml")), ids=lambda row: row.stem)
def test_a_row_of_a_paper_cites_it(record: Record, row: Path) -> None:
    source = Detector.of(Recipe.load(row), []).provenance()
    assert authors([as_made_by(record, source)]) == CITED[row.parts[-3]]


def test_no_sentence_has_gaps(record: Record) -> None:
    for name in ("default", "intensity_regions", "lesions"):
        text = methods_text([as_made_by(record, load(name, device="cpu").provenance())] * 2)
        assert text.startswith("2 scans (FLAIR) were analysed with anomri ")
        assert not re.findall(r" [,.;:)]|[,.]{2}|\( |None|[{}]", text)


def test_an_old_sidecar_tells_less_and_still_something(detect: Detect) -> None:
    text = methods_text([Record.of(replace(detect(), provenance=Provenance()))])
    assert "recipe 'unnamed'" in text
    assert methods_text([]) == ""
