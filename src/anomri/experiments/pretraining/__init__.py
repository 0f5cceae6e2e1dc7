"""Training of the shipped network `lesions`, on patients drawn from labelled healthy heads."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
