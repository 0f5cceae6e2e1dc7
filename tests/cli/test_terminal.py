"""What the terminal says of a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from anomri.batch import Outcome
from anomri.cli import terminal
from anomri.errors import Failure


@pytest.mark.parametrize(
    ("subject", "file", "begins"),
    [("01", "flair.nii", "01: flair.nii: bad"), ("01", "01", "01: bad"), ("01", "", "01: bad")],
)
def test_a_failure_is_named_once(
    capsys: pytest.CaptureFixture[str], subject: str, file: str, begins: str
) -> None:
    failure = Failure(subject=subject, label="sub-x", file=file, reason="bad", next_step="mend it")
    with pytest.raises(typer.Exit):
        terminal.finish(Outcome(failures=[failure]), Path("out"))
    assert f"  {begins}. Next: mend it" in "".join(capsys.readouterr())
