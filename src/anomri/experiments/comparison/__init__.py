"""Comparison of the models of the papers and the built-in models on the same scans.

::

    comparison.yaml --compare--> scans.tsv, rows.tsv --write_page--> README.md

Networks that ``anomri reproduce`` has trained are reused. All differences are paired, over the
scans that both rows have.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
