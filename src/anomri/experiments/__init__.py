"""Experiments: reproduction of the papers, comparisons, and training of the shipped networks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
