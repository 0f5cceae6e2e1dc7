"""What a user names in place of a recipe's own entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anomri.recipe.definition import Recipe, Step, Template
from anomri.scan import Threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Entries that replace a recipe's own; empty ones leave it as it is.

    Attributes:
        threshold: name of a threshold's rule.
        decide: name of a segmentation method.
        blank_slices: name of a slice score below whose threshold slices are emptied.
        space: ``native``, or ``template`` for results on the MNI152 grid beside the native ones.
        brain: how the brain is found.
        orientation: where the axes of files point whose headers do not say so.
        mask_grid: where masks lie that have the scan's shape and another affine.
    """

    threshold: str | None = None
    decide: str | None = None
    blank_slices: str | None = None
    space: str = "native"
    brain: str | None = None
    orientation: str | None = None
    mask_grid: str | None = None

    def applied(self, recipe: Recipe, *, first: bool = True) -> Recipe:
        """Return the recipe with the named entries in place of its own.

        Args:
            recipe: of a map.
            first: whether that map is segmented first; others keep all their slices.

        Raises:
            RecipeError: an entry does not validate.
        """
        preparation: dict[str, object] = {}
        detection: dict[str, object] = {}
        if self.threshold:
            detection["threshold"] = Step(name=self.threshold)
        if self.decide:
            detection["decide"] = Step(name=self.decide)
        if self.blank_slices and first:
            detection["blank_slices"] = self.blank_slices
        if self.space != "native":
            detection["space"] = self.space
        if self.space == "template":
            # An affine registration moves no voxel that the network sees.
            preparation["template"] = recipe.preparation.template or Template(transform="affine")
        named = {
            "brain": self.brain,
            "orientation": self.orientation and self.orientation.upper(),
            "mask_grid": self.mask_grid,
        }
        preparation |= {name: value for name, value in named.items() if value}
        return recipe.with_changes(preparation=preparation, **detection)

    def keeps(self, fitted: Mapping[str, Threshold]) -> bool:
        """Tell whether a segmenter's map still means something with these entries.

        Another segmentation method is the user's own; a threshold of another rule means nothing on
        probabilities, unless it was fitted to them.
        """
        return not self.decide and (not self.threshold or self.threshold in fitted)


NO_OVERRIDES = Overrides()
