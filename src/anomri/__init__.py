"""anomri: finds what does not look healthy in a brain MRI. Research use only.

>>> import anomri
>>> model = anomri.load("intensity")
>>> model.recipe.contrasts
('flair',)
"""

from anomri.detector import Detector, Result, load
from anomri.errors import AnomriError
from anomri.recipe import Recipe

__all__ = ["AnomriError", "Detector", "Recipe", "Result", "load"]
