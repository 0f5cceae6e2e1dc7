"""The part of a report in which a reader rates scans and judges findings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from markupsafe import Markup

from anomri.pipeline.rating.ratings import Rating
from anomri.pipeline.rating.reader_precision import reader_precision
from anomri.reporting import Record, environment, niivue, policy

PACKAGE = "anomri.pipeline.rating"
SCRIPT, STYLE = "ratings.js", "ratings.css"


def rating_panel(ratings: Sequence[Rating], records: Sequence[Record]) -> dict[str, Any]:
    """Return what :func:`anomri.reporting.write_page` needs to show the panel.

    The page's policy names the hash of the panel's script and style, too.
    """
    page: dict[str, Any] = dict(environment(PACKAGE).globals)
    style, scripts = f"{page['style']}{_asset(STYLE)}", [_asset(SCRIPT), *page["scripts"]]
    return {
        "package": PACKAGE,
        "style": Markup(style),  # noqa: S704 - our own
        "scripts": [Markup(script) for script in scripts],  # noqa: S704 - our own
        "policy": policy(style, scripts, [niivue().source]),
        "ratings": _inert([rating.model_dump() for rating in ratings]),
        "reader_precision": reader_precision(ratings, records),
    }


def _asset(name: str) -> str:
    return (resources.files(PACKAGE) / "templates" / name).read_text("utf-8")


def _inert(value: object) -> Markup:
    """Write JSON that cannot end the script element it lies in."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))  # noqa: S704 - as above
