"""anomri: unsupervised detection of lesions in brain MRI. Research use only.

>>> import anomri
>>> model = anomri.load("intensity")
>>> model.recipe.contrasts
('flair',)
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomri.detector import Detector, Result, load
    from anomri.errors import AnomriError, ScanError
    from anomri.recipe import Recipe
    from anomri.scan import Finding, Threshold

    __version__: str

__all__ = [
    "AnomriError",
    "Detector",
    "Finding",
    "Recipe",
    "Result",
    "ScanError",
    "Threshold",
    "__version__",
    "load",
]

# Operations that PyTorch lacks on Apple's GPUs run on the CPU; it reads this when it is imported.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

# Imported when they are asked for: PyTorch alone takes seconds, in which the command line must
# already answer signals.
_MODULES = {
    "AnomriError": "anomri.errors",
    "Detector": "anomri.detector",
    "Finding": "anomri.scan",
    "Recipe": "anomri.recipe",
    "Result": "anomri.detector",
    "ScanError": "anomri.errors",
    "Threshold": "anomri.scan",
    "load": "anomri.detector",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Takes longer to import than all that the command line needs before it handles signals.
        from importlib.metadata import version

        return version("anomri")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
