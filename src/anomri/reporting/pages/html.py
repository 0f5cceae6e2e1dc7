"""How any page is put together: templates, the policy that guards it, and the file it becomes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from anomri.files import replacing_text
from anomri.reporting.derivatives.sidecar import RESEARCH_USE
from anomri.reporting.figures.region_colours import REGION_NAMES
from anomri.reporting.formatting import FILTERS
from anomri.reporting.pages.niivue import niivue
from anomri.reporting.pages.viewer_volumes import Preview

TEMPLATES = resources.files("anomri.reporting") / "templates"


def write_html(path: Path, template: str, **contents: Any) -> Path:
    """Fill a template into a file piece by piece; it appears whole or not at all.

    Args:
        path: of the page; its folder is made where it is missing.
        template: name of the template.
        contents: what the template shows.
    """
    with replacing_text(path) as stream:
        stream.writelines(environment().get_template(template).generate(**contents))
    return path


@cache
def environment() -> Environment:
    """Return what every template sees: the style, the scripts and the policy that admits them."""
    made = Environment(
        loader=PackageLoader("anomri.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = "".join(_asset(name) for name in ("page.css", "charts.css", "viewer.css"))
    scripts = [_asset("page.js"), _asset("viewer.js")]
    build = niivue()
    made.filters.update(FILTERS, inert=inert)
    made.globals.update(
        style=Markup(style),  # noqa: S704 - our own
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own
        policy=policy(style, scripts, [build.source]),
        niivue=build,
        notice=RESEARCH_USE,
        region_names=REGION_NAMES,
    )
    return made


def policy(style: str, scripts: Iterable[str], more: Iterable[str] = ()) -> str:
    """Return the policy of a page: these scripts and this style, embedded pictures, nothing else.

    Args:
        style: the page's one style sheet.
        scripts: the page's scripts.
        more: hashes of scripts that these add.
    """
    allowed = " ".join([*(_digest(script) for script in scripts), *more])
    return (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )


def inert(preview: Preview) -> Markup:
    """Write a preview as JSON that cannot end the script element it lies in."""
    text = preview.model_dump_json().replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 - no character that HTML knows is left


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
