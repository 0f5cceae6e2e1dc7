"""anomri: finds what does not look healthy in a brain MRI. Research use only.

>>> import anomri
>>> model = anomri.load("intensity")
>>> model.recipe.contrasts
('flair',)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomri.detector import Detector, Result, load
    from anomri.errors import AnomriError
    from anomri.recipe import Recipe

__all__ = ["AnomriError", "Detector", "Recipe", "Result", "load"]

# Imported when they are asked for: PyTorch alone takes seconds, in which the command line must
# already answer signals.
_MODULES = {
    "AnomriError": "anomri.errors",
    "Detector": "anomri.detector",
    "Recipe": "anomri.recipe",
    "Result": "anomri.detector",
    "load": "anomri.detector",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
