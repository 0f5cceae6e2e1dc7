"""Reproduction of a paper's rows, from recipes to measured tables and page."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
