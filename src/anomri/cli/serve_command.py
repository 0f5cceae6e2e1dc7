"""The command that answers the studies of an Orthanc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar
from urllib.parse import urlsplit

import typer

from anomri import datasets, pipeline
from anomri.cli import settings
from anomri.cli.messages import information, warning
from anomri.cli.options import (
    DetectionOverrides,
    DicomKinds,
    ModelOptions,
    dicom_kinds,
    limit_threads,
    writable_folder,
)
from anomri.cli.signals import load_exports

if TYPE_CHECKING:
    from anomri.datasets import SiteRules

USER, PASSWORD = "ANOMRI_ORTHANC_USER", "ANOMRI_ORTHANC_PASSWORD"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """When to look for studies, and where to work."""

    PANEL: ClassVar = "Service"

    once: Annotated[
        bool, typer.Option("--once", help="Process the studies that are there, then exit.")
    ] = False
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time between two polls.", min=0.1)
    ] = 10.0
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Ignore the studies that Orthanc holds at the first start.",
        ),
    ] = False
    work_dir: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the journal and the study in progress; one for each service.",
            callback=writable_folder,
        ),
    ] = Path("anomri-serve")
    series: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with the site's rules: which series is which contrast.",
            exists=True,
            dir_okay=False,
        ),
    ] = None

    def rules(self) -> SiteRules:
        """Return the site's rules; errors as for :meth:`anomri.datasets.SiteRules.read`."""
        return datasets.SiteRules.read(self.series) if self.series else datasets.SiteRules()

    def schedule(self) -> pipeline.Schedule:
        """Return when to look."""
        return pipeline.Schedule(
            once=self.once,
            poll_seconds=self.poll,
            skip_existing=self.skip_existing,
            announce=information,
        )


def serve(
    *,
    orthanc: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help=f"REST interface of the Orthanc, such as http://127.0.0.1:8042. {USER} and "
            f"{PASSWORD} in the environment are its credentials.",
        ),
    ],
    service: ServiceOptions,
    model: ModelOptions,
    dicom: DicomKinds = "seg,sc",
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Threads; all cores if omitted.", min=1, envvar=settings.THREADS
        ),
    ] = None,
    overrides: DetectionOverrides,
) -> None:
    """Answer the studies of an Orthanc (PACS).

    Takes each study when it is complete, detects lesions, and sends the DICOM objects back. Where a
    study is refused, a picture with the reason is sent instead.
    """
    kinds, rules = dicom_kinds(dicom), service.rules()
    load_exports(pipeline)
    limit_threads(threads)
    user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    server = pipeline.Orthanc(orthanc, user=user, password=password)
    if user and is_readable_by_others(server.address):
        warning(f"{server.address}: the password is sent without encryption; use https")
    detector = model.load(overrides.overrides())
    responder = pipeline.DetectionResponder(detector, rules, kinds)
    served = pipeline.serve(server, responder, service.work_dir, service.schedule())
    counts = [f"{served.outcomes.count(kind)} {kind}" for kind in dict.fromkeys(served.outcomes)]
    arriving = [f"{served.arriving} still arriving"] if served.arriving else []
    postponed = [f"{served.postponed} to be tried again"] if served.postponed else []
    information(", ".join([*counts, *arriving, *postponed]) or "no new study")
    if served.exit_code:
        raise typer.Exit(served.exit_code)


def is_readable_by_others(address: str) -> bool:
    """Whether what is sent to an address leaves this machine without encryption."""
    parts = urlsplit(address)
    return parts.scheme == "http" and parts.hostname not in LOCAL
