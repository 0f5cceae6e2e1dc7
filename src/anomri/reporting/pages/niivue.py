"""NiiVue, the viewer inside the page; it comes with the package and is never loaded from a network.

NiiVue (https://github.com/niivue/niivue) is BSD 2-Clause software. Its build travels in the page
compressed; the page's policy names the hash of the text it unpacks to, so that a browser runs
exactly the build that is known here.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

# To take another build: replace the script (gzip -9n), and its version and SHA-256 in the JSON.
FOLDER = resources.files("anomri.reporting") / "templates" / "niivue"
SCRIPT, ABOUT = "niivue.umd.js.gz", "niivue.json"


@dataclass(frozen=True, slots=True)
class Build:
    """One build of NiiVue.

    Attributes:
        version: of NiiVue.
        licence: its name; the text lies beside the build.
        sha256: of the script, hex.
        packed: the script, gzip, base64.
    """

    version: str
    licence: str
    sha256: str
    packed: str

    @property
    def source(self) -> str:
        """The build as a policy names it."""
        digest = base64.b64encode(bytes.fromhex(self.sha256)).decode("ascii")
        return f"'sha256-{digest}'"


@cache
def niivue() -> Build:
    """Return the build that comes with the package."""
    about = json.loads((FOLDER / ABOUT).read_text(encoding="utf-8"))
    packed = base64.b64encode((FOLDER / SCRIPT).read_bytes()).decode("ascii")
    return Build(about["version"], about["licence"], about["sha256"], packed)
