"""Where a detection comes from, as its sidecar stores it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

ADD_IF_NO_MASS, COMPETE, CORRECT = "add_if_no_mass", "compete", "correct"
COMBINE_LOG_ODDS, NAME_REGIONS = "combine_log_odds", "name_regions"
"""Steps of a segmentation that use a second map; their option ``map`` names it."""

RESEARCH_USE = (
    "Research use only. Not a medical device, not for diagnosis or for decisions about treatment."
)
CONFIRMED_BRIGHTNESS = "confirmed_brightness"
STANDARDISE = "standardise"
PROBABILITY = "probability"
"""Last word of the names of scores that are probabilities."""


class _Facts(BaseModel):
    """Frozen. Entries that another version writes are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class StepFacts(_Facts):
    """A named function with its options."""

    name: str = ""
    options: dict[str, Any] = {}


class TemplateFacts(_Facts):
    """The registration to the template."""

    transform: str = ""


class PreparationFacts(_Facts):
    """The section ``preparation`` of a recipe."""

    template: TemplateFacts | None = None
    bias_field: StepFacts | None = None
    spacing_mm: tuple[float | None, ...] = ()
    intensity: StepFacts | None = None


class DetectionFacts(_Facts):
    """The section ``detection`` of a recipe."""

    shows: str | None = None
    score: StepFacts | None = None
    clean: tuple[StepFacts, ...] = ()
    refine: tuple[StepFacts, ...] = ()
    decide: StepFacts | None = None
    threshold: StepFacts | None = None
    mass_mm: float = 0.0
    space: str = ""


class ThresholdFacts(_Facts):
    """The threshold that a map was compared with."""

    value: float = 0.0
    rule: str = ""


class MapProvenance(_Facts):
    """Where one anomaly map comes from.

    Attributes:
        name: of the map within its model.
        recipe: name of the recipe that made it.
        family: of the network.
        weights_sha256: first digits of the hash of the weights; empty without weights.
        optional: contrasts that a scan may lack.
        preparation: how files became the scan.
        detection: how the scan became a mask.
        threshold: what the map was compared with; None where it was not used.
    """

    name: str = ""
    recipe: str = "unnamed"
    family: str = "unnamed"
    weights_sha256: str | None = None
    optional: tuple[str, ...] = ()
    preparation: PreparationFacts = PreparationFacts()
    detection: DetectionFacts = DetectionFacts()
    threshold: ThresholdFacts | None = None

    def units(self, score: str = "") -> str:
        """Return the unit of the map, which depends on its cleaning steps.

        Args:
            score: name of the score; the recipe's own where it is empty.
        """
        score = score or (self.detection.score.name if self.detection.score else "")
        standardised = any(step.name == STANDARDISE for step in self.detection.clean)
        if standardised or score == CONFIRMED_BRIGHTNESS:
            return "robust standard deviations of the scan"
        return score if score.endswith(PROBABILITY) else f"{score}, prepared intensity units"


class Provenance(_Facts):
    """The model, its maps and the files of a scan.

    Attributes:
        anomri_version: that made the detection.
        recipe: name of the model's recipe.
        maps: the first is the one that the detection's threshold belongs to.
        segmentation: how further maps change the mask of the first one, in order.
        reconstruction_mae: mean absolute error in the brain, in prepared intensity units; None
            where nothing is reconstructed.
        stamp: of the file system, see ``anomri.files.unchanged_stamp``.
        content: digest of the names and bytes of the files.
        key: digest of files, model and version: the result stands while it is the same.
        sources: BIDS URIs of the files; an entry of its own in sidecars.
    """

    anomri_version: str = ""
    recipe: str = "unnamed"
    maps: tuple[MapProvenance, ...] = ()
    segmentation: tuple[StepFacts, ...] = ()
    reconstruction_mae: float | None = None
    stamp: str = ""
    content: str = ""
    key: str = ""
    sources: tuple[str, ...] = Field((), exclude=True)

    @property
    def first(self) -> MapProvenance:
        """The map that the detection's threshold belongs to; without facts where none is known."""
        return self.maps[0] if self.maps else MapProvenance()

    def step_options(self, step: str) -> dict[str, Any]:
        """Return the options of a step of the segmentation; empty without such a step."""
        return next((item.options for item in self.segmentation if item.name == step), {})

    def map_of(self, step: str) -> MapProvenance | None:
        """Return the map that a step of the segmentation uses; None without such a step."""
        names = [item.options.get("map") for item in self.segmentation if item.name == step]
        return next((item for item in self.maps if item.name in names), None)

    def threshold_of(self, channel: int, shows: Sequence[str], first: float) -> float:
        """Return the threshold of the map of a contrast; maps of other regions have their own.

        Args:
            channel: of the contrast.
            shows: the region that each contrast's map shows.
            first: threshold of the first map.
        """
        region = shows[channel] if channel < len(shows) else self.first.detection.shows
        if region == self.first.detection.shows:
            return first
        own = (item.threshold for item in self.maps if item.detection.shows == region)
        return next((item.value for item in own if item is not None), first)

    @model_validator(mode="before")
    @classmethod
    def _of_nested_models(cls, value: Any) -> Any:
        """Read the provenance of a version without ``maps``, where models hold other models."""
        known = {*MapProvenance.model_fields, "beside", "small"}
        if not isinstance(value, Mapping) or "maps" in value or not known & value.keys():
            return value
        model = _NestedModel.model_validate({key: value[key] for key in known & value.keys()})
        rest = {key: value[key] for key in value if key not in known}
        return {**rest, "recipe": model.recipe, **model.maps_and_steps()}


class _NestedModel(MapProvenance):
    """The first model of several, with the others inside."""

    beside: MapProvenance | None = None
    small: MapProvenance | None = None

    def maps_and_steps(self) -> dict[str, Any]:
        """Return the maps and the segmentation that these models stand for."""
        uses: dict[str, tuple[MapProvenance | None, str, dict[str, Any]]] = {
            "small": (self.small, ADD_IF_NO_MASS, {"min_mass_radius_mm": self.detection.mass_mm}),
            "enhancing": (self.beside, NAME_REGIONS, {}),
        }
        first = self.model_dump(exclude={"name", "beside", "small"}, exclude_unset=True)
        maps: list[Any] = [{**first, "name": "whole"}]
        segmentation = []
        for name, (model, step, options) in uses.items():
            if model is not None:
                maps.append(model.model_copy(update={"name": name}))
                segmentation.append({"name": step, "options": {"map": name, **options}})
        return {"maps": maps, "segmentation": segmentation}
