"""DICOM: folders of series, nested or mixed, as exported by the scanner.

The contrast of a series is recognised from its headers
(:mod:`anomri.datasets.dicom.recognition`); every decision is listed with its reason and can be
overridden. A study is one scan. No identifying tags are kept: a study is named after a hash of its
UID.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
