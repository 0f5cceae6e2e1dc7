"""Recipes: everything scientific about a run, as one frozen YAML file."""

from anomri.recipe.definition import (
    Augmentation,
    Detection,
    NoiseSquares,
    Perturbation,
    Preparation,
    Recipe,
    Step,
    Training,
    builtin_names,
)
from anomri.recipe.registry import Count, Share, Size, bind, call

__all__ = [
    "Augmentation",
    "Count",
    "Detection",
    "NoiseSquares",
    "Perturbation",
    "Preparation",
    "Recipe",
    "Share",
    "Size",
    "Step",
    "Training",
    "bind",
    "builtin_names",
    "call",
]
