"""Documentation site: `make docs` builds it, with warnings as errors."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extension"))

project = "anomri"
author = "The anomri authors"
copyright = "the anomri authors, Apache-2.0"
version = release = installed_version("anomri")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "generated_reference",
]
exclude_patterns = ["_build", "_extension"]
html_theme = "furo"
html_title = f"anomri {release}"
html_copy_source = False

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
# The pages' own examples; those of docstrings run with the tests (`--doctest-modules`).
doctest_test_doctest_blocks = ""
myst_heading_anchors = 3
