"""Recipes: everything scientific about a run, as one frozen YAML file."""

from anomri.recipe.combined import CombinedRecipe, MapEntry, SegmentationStep, load_recipe
from anomri.recipe.definition import (
    CORRECT_IT,
    Augmentation,
    Detection,
    NoiseSquares,
    Perturbation,
    Preparation,
    Recipe,
    Step,
    Template,
    Training,
    builtin_names,
    in_words,
)
from anomri.recipe.extensions import (
    LAYOUT_GROUP,
    RECONSTRUCTOR_GROUP,
    SCORE_GROUP,
    ExtensibleTable,
    Extension,
    extensions,
)
from anomri.recipe.finding_model import FindingModel, finding_model
from anomri.recipe.model_archive import opened_model, write_archive
from anomri.recipe.model_layout import (
    ByMap,
    MapSource,
    ModelLayout,
    joint_contrasts,
    layout_of,
    model_layout,
    optional_contrasts,
    recipe_to_prepare,
)
from anomri.recipe.overrides import NO_OVERRIDES, Overrides
from anomri.recipe.registry import Count, Share, Size, bind, call

__all__ = [
    "CORRECT_IT",
    "LAYOUT_GROUP",
    "NO_OVERRIDES",
    "RECONSTRUCTOR_GROUP",
    "SCORE_GROUP",
    "Augmentation",
    "ByMap",
    "CombinedRecipe",
    "Count",
    "Detection",
    "ExtensibleTable",
    "Extension",
    "FindingModel",
    "MapEntry",
    "MapSource",
    "ModelLayout",
    "NoiseSquares",
    "Overrides",
    "Perturbation",
    "Preparation",
    "Recipe",
    "SegmentationStep",
    "Share",
    "Size",
    "Step",
    "Template",
    "Training",
    "bind",
    "builtin_names",
    "call",
    "extensions",
    "finding_model",
    "in_words",
    "joint_contrasts",
    "layout_of",
    "load_recipe",
    "model_layout",
    "opened_model",
    "optional_contrasts",
    "recipe_to_prepare",
    "write_archive",
]
