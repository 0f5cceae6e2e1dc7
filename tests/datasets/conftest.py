"""Folders of empty files: layouts use names, not contents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Return a function that creates empty files below a fresh folder and gives the folder."""

    def create(*names: str) -> Path:
        root = tmp_path / "source"
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return create
