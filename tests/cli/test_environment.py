"""Commands in containers: a user without a name, nowhere to write but the results."""

from __future__ import annotations

import getpass
import os
import tempfile

import pytest

from anomri.cli.environment import prepare_environment
from anomri.errors import UsageError


def test_a_user_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    monkeypatch.setitem(os.environ, "LOGNAME", "")  # restored afterwards
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    prepare_environment()
    assert getpass.getuser() == "user-54321"


def test_a_place_for_temporary_files_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(UsageError, match="TMPDIR"):
        prepare_environment()
