"""Recipes: everything scientific about a run, as one frozen YAML file."""

from anomri.recipe.combined import CombinedRecipe, MapEntry, SegmentationStep, load_recipe
from anomri.recipe.definition import (
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
)
from anomri.recipe.model_layout import (
    ByMap,
    MapSource,
    ModelLayout,
    joint_contrasts,
    model_layout,
    optional_contrasts,
    recipe_to_prepare,
)
from anomri.recipe.overrides import NO_OVERRIDES, Overrides
from anomri.recipe.registry import Count, Share, Size, bind, call

__all__ = [
    "NO_OVERRIDES",
    "Augmentation",
    "ByMap",
    "CombinedRecipe",
    "Count",
    "Detection",
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
    "joint_contrasts",
    "load_recipe",
    "model_layout",
    "optional_contrasts",
    "recipe_to_prepare",
]
