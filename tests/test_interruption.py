"""An interrupted command says how to go on."""

from __future__ import annotations

import pytest

from anomri import cli, pipeline


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interruption_tells_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "report", interrupted)
    monkeypatch.setattr("sys.argv", ["anomri", "report", "."])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert "run the same command again" in " ".join(capsys.readouterr().err.split())


def test_another_end_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["anomri", "report"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
