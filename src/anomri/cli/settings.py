"""Settings of a machine, which stay the same for all commands: device, workers, threads, brain.

Options take precedence over environment variables, these over ``anomri.toml``, and the file over
defaults. The file is that of ``ANOMRI_CONFIG``, else the one in the working directory, else the one
in the user's folder of settings.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomri.errors import UsageError

FILE = "anomri.toml"
FILE_VARIABLE = "ANOMRI_CONFIG"
DEVICE, WORKERS = "ANOMRI_DEVICE", "ANOMRI_WORKERS"
THREADS, BRAIN = "ANOMRI_THREADS", "ANOMRI_BRAIN"
OF_SCANS = (
    *("audit", "prepare", "adapt", "detect", "follow", "serve", "evaluate", "compare"),
    "bids-app",
)
"""Commands that process scans; the device is that of all commands."""
PRECEDENCE = (
    f"Device, workers, threads and brain method can also be set in {FILE} (in the working "
    f"directory, the user's configuration folder, or the path in {FILE_VARIABLE}), as in "
    '`device = "cpu"`. Options override environment variables, which override the file, which '
    "overrides the defaults."
)


class MachineSettings(BaseModel):
    """The content of ``anomri.toml``.

    Attributes:
        device: name of a device, see :func:`anomri.models.choose_device`.
        workers: processes that process scans.
        threads: of each process.
        brain: brain extraction method.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str | None = None
    workers: Annotated[int, Field(ge=1, strict=True)] | None = None
    threads: Annotated[int, Field(ge=1, strict=True)] | None = None
    brain: str | None = None


def settings_file() -> Path | None:
    """Return the file of settings; None where there is none."""
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    places = (Path(FILE), Path(typer.get_app_dir("anomri")) / FILE)
    return next((path for path in places if path.is_file()), None)


def read_settings(path: Path) -> MachineSettings:
    """Read a file of settings.

    Raises:
        UsageError: it cannot be read, is no TOML, or has an unknown entry or a wrong value.
    """
    try:
        return MachineSettings.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise _refusal(path, f"expected a settings file: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refusal(path, f"expected TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        names = ", ".join(MachineSettings.model_fields)
        raise _refusal(path, f"{place}: {first['msg']}; known entries: {names}") from error


def default_map(commands: list[str]) -> dict[str, dict[str, Any]]:
    """Return the defaults of each command's options that the file of settings changes."""
    path = settings_file()
    values = {} if path is None else read_settings(path).model_dump(exclude_none=True)
    device = {name: value for name, value in values.items() if name == "device"}
    return {name: values if name in OF_SCANS else device for name in commands} if values else {}


def _refusal(path: Path, fault: str) -> UsageError:
    return UsageError(f"{path.name}: {fault}. Next: correct the file, or remove it.")
