"""Comparison of the models of the papers and the built-in models on the same scans.

::

    comparison.yaml --compare--> scans.tsv, rows.tsv --write_page--> README.md

Networks that ``anomri reproduce`` has trained are reused. All differences are paired, over the
scans that both rows have.
"""

from anomri.experiments.comparison.definition import Definition
from anomri.experiments.comparison.html_page import write_html_page
from anomri.experiments.comparison.page import write_page
from anomri.experiments.comparison.plan import Plan, Report, compare

__all__ = ["Definition", "Plan", "Report", "compare", "write_html_page", "write_page"]
