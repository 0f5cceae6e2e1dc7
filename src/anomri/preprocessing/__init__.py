"""Preparation of scans for the models, and the way back to their native space.

Only affine transforms are applied, and ``Scan.grid`` records all of them: results return to the
input's own voxels with a single interpolation.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
