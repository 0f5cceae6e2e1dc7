"""Names of the files that anomri writes and reads again."""

from __future__ import annotations

PHANTOMS = "phantoms.json"  # marks a folder of digital phantoms
