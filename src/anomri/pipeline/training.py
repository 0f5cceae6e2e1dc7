"""Training: a model learns from prepared scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anomri.files import private_temporary_files, remove_stale_drafts
from anomri.pipeline.preparation import refuse_unclear
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe


def train(recipe: Recipe, data: Path, run: Path, **machine: Any) -> Path:
    """Train the recipe's model on prepared scans; see :func:`anomri.training.train`."""
    # Imported here because Lightning takes seconds to load, and no other command needs it.
    with private_temporary_files():
        from anomri.training import train as fit

        remove_stale_drafts(run)
        prepared = PreparedFolder.open(data)
        refuse_unclear(prepared)
        return fit(recipe, prepared, run, **machine)
