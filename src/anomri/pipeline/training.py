"""Training: a model learns from prepared scans."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anomri.errors import MissingPiece
from anomri.files import private_temporary_files, remove_stale_drafts
from anomri.pipeline.preparation import refuse_unclear
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe

EXTRA = ("lightning", "tensorboard")  # packages of the extra `train`


def train(recipe: Recipe, data: Path, run: Path, **machine: Any) -> Path:
    """Train the recipe's model on prepared scans; see :func:`anomri.training.train`."""
    require_training()
    # Imported here because Lightning takes seconds to load, and no other command needs it.
    with private_temporary_files():
        from anomri.training import train as fit

        remove_stale_drafts(run)
        prepared = PreparedFolder.open(data)
        refuse_unclear(prepared)
        return fit(recipe, prepared, run, **machine)


def require_training() -> None:
    """Raise where the packages that train are not installed, before anything is computed.

    Raises:
        MissingPiece: the extra `train` is not installed.
    """
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise MissingPiece(
            f"training needs the packages {' and '.join(missing)}. "
            'Next: `pip install "anomri[train]"`.'
        )
