"""Models that are ready for scans: recipes, their networks and thresholds, on a device."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
