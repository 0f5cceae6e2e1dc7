"""NiiVue, the viewer inside the page; taken from the installed nilearn, never from a network.

NiiVue (https://github.com/niivue/niivue) is BSD 2-Clause software. Its build travels in the page
compressed; the page's policy names the hash of the text it unpacks to, so that a browser runs
exactly the build that is known here.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import logging
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

BUILD = "_assets/js/niivue.umd.js"
VERSIONS = {"c40dc2679c337c906deef22e157ee02c17459db9b8ecc51aa773af27791a567c": "0.68.1"}
"""SHA-256 of each build that the page was tested with, to its version."""
LICENCE = "BSD 2-Clause"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Build:
    """One build of NiiVue.

    Attributes:
        version: of NiiVue.
        sha256: of the script, hex.
        packed: the script, gzip, base64.
    """

    version: str
    sha256: str
    packed: str

    @property
    def source(self) -> str:
        """The build as a policy names it."""
        digest = base64.b64encode(bytes.fromhex(self.sha256)).decode("ascii")
        return f"'sha256-{digest}'"


@cache
def niivue() -> Build | None:
    """Return the installed build; None where there is none or an unknown one, which is logged."""
    path = _path()
    if path is None or not path.is_file():
        log.warning("NiiVue: expected it in nilearn, found none; pages have no viewer")
        return None
    script = path.read_bytes()
    digest = hashlib.sha256(script).hexdigest()
    if digest not in VERSIONS:
        log.warning("NiiVue: its build has the unknown SHA-256 %s; pages have no viewer", digest)
        return None
    packed = base64.b64encode(gzip.compress(script, 9, mtime=0)).decode("ascii")
    return Build(VERSIONS[digest], digest, packed)


def _path() -> Path | None:
    # Looking nilearn up does not import it, which would take a second.
    found = find_spec("nilearn")
    return None if found is None or found.origin is None else Path(found.origin).parent / BUILD
