"""Provenance is read back as it was written, and from the sidecars of version 0.1."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from anomri.detector import load
from anomri.scan import (
    ADD_IF_NO_MASS,
    COMBINE_LOG_ODDS,
    COMPETE,
    NAME_REGIONS,
    MapProvenance,
    Provenance,
    Threshold,
)

OLD: dict[str, Any] = {
    "anomri_version": "0.1.0",
    "recipe": "default",
    "family": "intensity",
    "weights_sha256": "",
    "detection": {"shows": "whole", "mass_mm": 7, "clean": [{"name": "median", "options": {}}]},
    "beside": {"recipe": "intensity_t1ce", "threshold": {"value": 1.5, "rule": "fixed"}},
    "small": {"recipe": "lesions_bright", "weights_sha256": "ab"},
    "key": "k",
    "stamp": "s",
    "content": "c",
}


def test_a_model_is_read_back_as_it_was_written() -> None:
    source = load("default", device="cpu").provenance()
    assert [item.name for item in source.maps] == [
        *("brightness", "enhancement", "contrasts", "probability", "network")
    ]
    assert [step.name for step in source.segmentation[1:]] == [
        *("enclose", COMPETE, COMBINE_LOG_ODDS, ADD_IF_NO_MASS, NAME_REGIONS)
    ]
    assert Provenance.model_validate_json(source.model_dump_json()) == source
    assert source.first.detection.clean[1].options == {"size_mm": 6}


def test_models_inside_a_model_become_maps() -> None:
    source = Provenance.model_validate(OLD)
    assert (source.recipe, source.key, source.stamp, source.content) == ("default", *"ksc")
    assert [item.recipe for item in source.maps] == ["default", "lesions_bright", "intensity_t1ce"]
    small, enhancing = source.map_of(ADD_IF_NO_MASS), source.map_of(NAME_REGIONS)
    assert small is not None
    assert small.threshold is None
    assert enhancing is not None
    assert enhancing.threshold is not None
    assert enhancing.threshold.value == 1.5
    assert source.step_options(ADD_IF_NO_MASS) == {"map": "small", "min_mass_radius_mm": 7}
    assert Provenance.model_validate_json(source.model_dump_json()) == source


def test_one_model_alone_has_no_further_steps() -> None:
    alone = Provenance.model_validate({"recipe": "vae", "family": "vae"})
    assert [item.family for item in alone.maps] == ["vae"]
    assert alone.map_of(NAME_REGIONS) is None
    assert Provenance.model_validate({}).first == MapProvenance()


@pytest.mark.parametrize(
    "change",
    [{"beside": 5}, {"detection": []}, {"small": {"threshold": "x"}}, {"maps": [1]}, {"key": {}}],
)
def test_a_damaged_provenance_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Provenance.model_validate(OLD | change)


def test_the_threshold_of_a_map_is_noted() -> None:
    used = {"network": Threshold(value=0.5, rule="fixed")}
    source = load("default", device="cpu").provenance(thresholds=used)
    network = source.map_of(ADD_IF_NO_MASS)
    assert network is not None
    assert network.threshold is not None
    assert (network.threshold.value, network.threshold.rule) == (0.5, "fixed")
    assert source.first.threshold is None
