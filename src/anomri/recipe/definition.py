"""Everything scientific about a run, as one frozen YAML file.

A recipe names functions and gives their arguments; it never holds code. Paths, devices and worker
counts belong to the machine and are command-line options instead. Every default stands here or in
the signature of the named function, once.

A step is a name with its options, as in ``median: {size_mm: 5}``, or the bare name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from anomri.errors import DamagedFile, RecipeError
from anomri.files import MAX_YAML_BYTES, parse_yaml, read_text
from anomri.scan import MapProvenance, Threshold

BUILTIN = resources.files("anomri.recipe") / "builtin"
CORRECT_IT = "Next: correct it in the recipe."

MOVED = ("regions", "mass_mm")  # from `detection` to the steps of a combined recipe

Number = float | int | str | bool | None
Option = Number | list[Number]


class Section(BaseModel):
    """A section of a recipe: frozen, validated, without unknown entries."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


class Step(Section):
    """A named function and its keyword arguments."""

    name: str
    options: dict[str, Option] = Field(default_factory=dict)


def _as_step(value: object) -> object:
    """Turn ``name`` and ``{name: {option: value}}`` into the fields of a :class:`Step`."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and len(value) == 1 and "name" not in value:
        ((name, options),) = value.items()
        return {"name": name, "options": options or {}}
    return value


NamedStep = Annotated[Step, BeforeValidator(_as_step)]


class Template(Section):
    """A registration to the MNI152 template, folded into the scan's affine.

    Attributes:
        transform: ``rigid`` keeps sizes, ``affine`` fits them too.
        resample: work along the template's axes, around a fixed place of it; without it the scan
            keeps its own axes and slices, and the template only says where a lesion lies.
        centre_mm: the middle of the working grid in template mm, with ``resample``; null is the
            middle of the template's brain.
    """

    transform: Literal["rigid", "affine"] = "rigid"
    resample: bool = False
    centre_mm: tuple[float, float, float] | None = None


def _renamed_method(value: object) -> object:
    """Accept the name that recipes of version 0.1 have for the brain network."""
    return "deepbet" if value == "network" else value


BrainMethod = Annotated[
    Literal["auto", "given", "deepbet", "hdbet", "stripped"], BeforeValidator(_renamed_method)
]


class Preparation(Section):
    """How files become a scan.

    Attributes:
        spacing_mm: voxel size along I, J, K; null keeps the scan's own (1 mm on the template).
        shape: voxels along I, J, K around the centre of the brain; null is as many as it needs.
        intensity: the scaling inside the brain, by name, with its options.
        brain: where the brain mask comes from. ``auto`` takes a given one, recognises a stripped
            scan, and otherwise asks deepbet; the other words force one way.
        thick_slices: ``keep`` leaves slices of 3 mm and more as they are where ``spacing_mm`` is
            finer and ``shape`` is null, so that no resolution is invented; ``resample`` does not.
        align: how contrasts on another grid than the first one's are registered to it; null
            trusts the headers.
        bias_field: the correction of slow changes of brightness, by name, with its options.
        template: registration to a template; null for none.
        orientation: where the axes of a file point whose header does not say so, such as ``RAS``;
            empty refuses such a file.
        mask_grid: where the voxels of a mask lie that has the scan's shape and another affine:
            where its ``header`` says, or on those of the ``scan``; ``auto`` refuses it.
    """

    spacing_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    intensity: NamedStep = Step(name="zscore")
    brain: BrainMethod = "auto"
    thick_slices: Literal["keep", "resample"] = "keep"
    align: Literal["rigid"] | None = "rigid"
    bias_field: NamedStep | None = None
    template: Template | None = None
    orientation: str = ""
    mask_grid: Literal["auto", "header", "scan"] = "auto"

    def key(self) -> str:
        """Short hash of the section: two equal preparations share their cache.

        Beside spacing, shape and intensity only what is not at its default counts, so that a
        cache survives a new option.
        """
        first = {"spacing_mm", "shape", "intensity"}
        section = self.model_dump(mode="json", include=first)
        section |= self.model_dump(mode="json", exclude=first, exclude_defaults=True)
        text = json.dumps(section, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def sees_like(self, other: Preparation) -> bool:
        """Tell whether both give a network the same images, whoever finds the brain in them."""
        mine, theirs = (
            one.model_copy(update={"brain": "auto", "orientation": "", "mask_grid": "auto"})
            for one in (self, other)
        )
        return mine == theirs


class Augmentation(Section):
    """Random geometry, drawn anew for each sample (Weninger et al., section 3).

    Attributes:
        probability: share of samples that are changed at all.
        flip: mirror left and right with probability one half.
        scale: largest relative change of size.
        shear: largest shear, in voxels per voxel.
        rotation_deg: largest rotation in the slice.
    """

    probability: float = Field(0.5, ge=0, le=1)
    flip: bool = True
    scale: float = Field(0.1, ge=0, lt=1)
    shear: float = Field(0.1, ge=0, lt=1)
    rotation_deg: float = Field(10.0, ge=0, le=180)


class NoiseSquares(Section):
    """Squares of Gaussian noise that hide a part of the input (Weninger et al., section 3).

    Attributes:
        probability: share of samples with a square.
        smallest: shortest side in pixels.
        largest: longest side in pixels.
    """

    probability: float = Field(0.5, ge=0, le=1)
    smallest: int = Field(15, ge=1)
    largest: int = Field(50, ge=1)


class Perturbation(Section):
    """Random intensity and mirroring of labelled volumes (Myronenko, section 3.7).

    Attributes:
        shift: largest shift of a contrast, in standard deviations of its brain.
        scale: largest relative change of a contrast's intensities.
        mirror: probability of mirroring along each axis.
    """

    shift: float = Field(0.1, ge=0)
    scale: float = Field(0.1, ge=0, lt=1)
    mirror: float = Field(0.5, ge=0, le=1)


class Training(Section):
    """How a family learns.

    Attributes:
        batch_size: images per step.
        learning_rate: of Adam.
        weight_decay: L2 penalty on the kernels of convolutions.
        decay_exponent: the rate of epoch e of N is ``learning_rate * (1 - e/N)^exponent``; 0 keeps
            it constant.
        max_epochs: the most passes over the training slices.
        patience: passes without a better validation loss before training stops.
        validation_fraction: share of subjects kept for validation; whole subjects, never slices.
        slab_mm: thickness of the middle slab that slices are taken from; null is all of it.
        min_brain_fraction: a slice counts when this share of it is brain.
        lesions: what to do with slices that hold lesion voxels: ``drop`` them, or ``mask`` the
            lesion and its margin out of the loss.
        lesion_margin_mm: how far around a lesion nothing is learnt from, with ``mask``.
        augmentation: random geometry; null for none.
        noise_squares: hidden squares; null for none.
        perturbation: what a segmenter's volumes go through instead of these two; null for none.
        crop: voxels that the network sees at once, at a random place in each epoch (Myronenko,
            section 4); null for all of the image. An axis that is shorter is taken whole.
        seed: of every random number in the run.
    """

    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    decay_exponent: float = Field(0.0, ge=0)
    max_epochs: int = Field(200, ge=1)
    patience: int = Field(20, ge=1)
    validation_fraction: float = Field(0.2, gt=0, lt=1)
    slab_mm: float | None = Field(70.0, gt=0)
    min_brain_fraction: float = Field(0.05, ge=0, lt=1)
    lesions: Literal["drop", "mask"] = "drop"
    lesion_margin_mm: float = Field(5.0, ge=0)
    augmentation: Augmentation | None = Augmentation()
    noise_squares: NoiseSquares | None = NoiseSquares()
    perturbation: Perturbation | None = Perturbation()
    crop: tuple[int, ...] | None = None
    seed: int = 0


class Detection(Section):
    """How a map becomes a mask.

    Attributes:
        score: function of ``SCORES``.
        clean: map steps of ``STEPS``, in order; the threshold is compared with their result.
        threshold: rule of ``RULES``.
        decide: function of ``SEGMENTATION_METHODS`` that turns map and threshold into a mask.
        refine: mask steps of ``STEPS``, in order.
        shows: the region that the map shows, a name of ``REGIONS``: which labels count when a
            threshold is fitted to them or a mask is measured.
        blank_slices: the slice score below whose threshold an axial slice's mask is emptied,
            before regions are named; null keeps every slice.
        slice_deviations: how many standard deviations above the mean of healthy slices that
            threshold lies; null is each score's own number, see :mod:`anomri.scoring`.
        space: ``native`` writes results on the input's own grid; ``template`` writes them on the
            MNI152 template's grid too.
    """

    score: NamedStep = Step(name="residual")
    clean: tuple[NamedStep, ...] = ()
    threshold: NamedStep = Step(name="robust")
    decide: NamedStep = Step(name="above")
    refine: tuple[NamedStep, ...] = ()
    shows: Literal["whole", "core", "enhancing"] = "whole"
    blank_slices: Literal["mean_residual", "mahalanobis"] | None = None
    slice_deviations: float | None = None
    space: Literal["native", "template"] = "native"

    @model_validator(mode="before")
    @classmethod
    def _without_steps_of_combined_models(cls, section: object) -> object:
        """Accept files of version 0.1, which kept here what a combined recipe says now."""
        if not isinstance(section, dict):
            return section
        return {name: value for name, value in section.items() if name not in MOVED}


class Recipe(Section):
    """One model, from files to masks.

    >>> recipe = Recipe.load("intensity")
    >>> recipe.contrasts, recipe.detection.threshold.name
    (('flair',), 'fixed')

    Attributes:
        contrasts: what the network sees, in order; the first one's grid is the native grid.
        optional: contrasts that a scan may lack: the network then sees 0 in their place.
        axes: 2 where the network sees axial slices, 3 where it sees whole volumes.
        weights: built-in recipe whose weights this built-in recipe uses; its own where empty.
    """

    name: str
    about: str = ""
    contrasts: tuple[str, ...] = Field(("flair",), min_length=1)
    optional: tuple[str, ...] = ()
    axes: Literal[2, 3] = 2
    preparation: Preparation = Preparation()
    family: NamedStep
    training: Training = Training()
    detection: Detection = Detection()
    weights: str = ""

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels that the network sees at once, along its axes; empty where any number will do."""
        lengths = self.preparation.shape[: self.axes]
        crop = self.training.crop or lengths
        pairs = zip(lengths, crop, strict=True)
        known = [min(n for n in pair if n is not None) for pair in pairs if pair != (None, None)]
        return tuple(known) if len(known) == self.axes else ()

    @model_validator(mode="after")
    def _the_first_contrast_is_not_optional(self) -> Recipe:
        if self.contrasts[0] in self.optional:
            raise ValueError(
                f"optional: '{self.contrasts[0]}' has the native grid, so it cannot be optional"
            )
        return self

    @model_validator(mode="after")
    def _crop_has_the_axes_of_the_network(self) -> Recipe:
        crop = self.training.crop
        if crop is not None and (len(crop) != self.axes or min(crop) < 1):
            raise ValueError(f"training.crop: expected {self.axes} numbers of voxels, got {crop}")
        return self

    @classmethod
    def load(cls, source: str | Path) -> Recipe:
        """Read a YAML file, or a recipe that ships with anomri by its name.

        Raises:
            RecipeError: the file is missing, is not YAML, or does not validate.
        """
        return cls.parse(text_of(source), origin=Path(source).name)

    @classmethod
    def parse(cls, text: str, *, origin: str) -> Recipe:
        """Validate YAML ``text``; ``origin`` names it in errors."""
        try:
            entries = parse_yaml(text)
            if isinstance(entries, dict) and "maps" in entries:
                raise RecipeError(
                    f"{origin}: expected a recipe of one map, got one of several. Next: name the "
                    "recipe of one of its maps."
                )
            return cls.model_validate(entries)
        except yaml.YAMLError as error:
            raise RecipeError(f"{origin}: not valid YAML: {error}. {CORRECT_IT}") from error
        except ValidationError as error:
            raise RecipeError(f"{origin}: {in_words(error)}. {CORRECT_IT}") from error

    def with_changes(
        self, *, preparation: Mapping[str, Any] | None = None, **detection: Any
    ) -> Recipe:
        """Return the recipe with other entries in its sections.

        Args:
            preparation: entries of ``preparation``.
            detection: entries of ``detection``.

        Raises:
            RecipeError: an entry does not validate.
        """
        try:
            sections = {
                "preparation": Preparation.model_validate(
                    {**dict(self.preparation), **(preparation or {})}
                ),
                "detection": Detection.model_validate({**dict(self.detection), **detection}),
            }
        except ValidationError as error:
            raise RecipeError(f"{self.name}: {in_words(error)}. {CORRECT_IT}") from error
        return self.model_copy(update=sections)

    def provenance(
        self, name: str, weights_hash: str, threshold: Threshold | None
    ) -> MapProvenance:
        """Return what a sidecar says about the map that the recipe makes.

        Args:
            name: of the map.
            weights_hash: first digits of the hash of the weights.
            threshold: what the map was compared with; None says nothing of a scan.
        """
        section = self.model_dump(mode="json", include={"preparation", "detection"})
        compared = threshold and {"value": threshold.value, "rule": threshold.rule}
        facts: dict[str, object] = {
            "name": name,
            "recipe": self.name,
            "family": self.family.name,
            "weights_sha256": weights_hash,
            "optional": self.optional,
            "threshold": compared,
        }
        return MapProvenance.model_validate({**facts, **section})

    def learns_like(self, other: Recipe) -> bool:
        """Tell whether both recipes train the same network on the same images.

        How a map becomes a mask may differ: weights do not depend on it.
        """
        mine, theirs = (
            recipe.model_dump(include={"contrasts", "axes", "preparation", "family", "training"})
            for recipe in (self, other)
        )
        return mine == theirs

    def to_yaml(self) -> str:
        """Return the resolved recipe, every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def builtin_names() -> list[str]:
    """Names of the recipes that ship inside the package."""
    return sorted(Path(str(f)).stem for f in BUILTIN.iterdir() if str(f).endswith(".yaml"))


def text_of(source: str | Path) -> str:
    """Return the YAML of a recipe file, or of a recipe that ships with anomri.

    Raises:
        RecipeError: there is none.
    """
    path = Path(source)
    if path.is_file():
        try:
            return read_text(path, limit=MAX_YAML_BYTES, next_step="give the path of a recipe")
        except DamagedFile as error:
            raise RecipeError(str(error)) from error
    if str(source) in builtin_names():
        return (BUILTIN / f"{source}.yaml").read_text(encoding="utf-8")
    raise RecipeError(
        f"{source}: expected a recipe file or one of {', '.join(builtin_names())}; "
        "found neither. Next: check the spelling or give the path of a .yaml file."
    )


def in_words(error: ValidationError, whole: str = "the recipe") -> str:
    """Say what is wrong with a recipe or another file, with the place of each fault."""
    return "; ".join(_problem(dict(item), whole) for item in error.errors())


def _problem(item: dict[str, Any], whole: str) -> str:
    where = ".".join(str(part) for part in item["loc"]) or whole
    return f"{where}: {item['msg']} (got {item['input']!r:.80})"
