"""How any page is put together: templates, the policy that guards it, and the file it becomes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from anomri.files import replacing_text
from anomri.reporting.figures.region_colours import REGION_NAMES
from anomri.reporting.formatting import FILTERS
from anomri.reporting.pages.niivue import niivue
from anomri.reporting.pages.viewer_volumes import Preview
from anomri.scan import RESEARCH_USE

PACKAGE = "anomri.reporting"
TEMPLATES = resources.files(PACKAGE) / "templates"


def write_html(path: Path, template: str, *, package: str = PACKAGE, **contents: Any) -> Path:
    """Render a template into a file piece by piece; it appears whole or not at all.

    Args:
        path: of the page; its folder is made where it is missing.
        template: name of the template.
        package: whose ``templates`` folder holds it; it may extend the templates of reporting.
        contents: what the template shows.
    """
    with replacing_text(path) as stream:
        stream.writelines(environment(package).get_template(template).generate(**contents))
    return path


@cache
def environment(package: str = PACKAGE) -> Environment:
    """Return the templates of a package, with the style, the scripts and the policy of a page."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(PACKAGE)]),
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
