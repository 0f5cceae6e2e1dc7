"""Packing: a model in one file, for others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anomri.detector import Detector, load
from anomri.errors import UsageError
from anomri.files import (
    LICENCE,
    MAP_THRESHOLDS,
    README,
    THRESHOLDS,
    WEIGHTS,
    read_json,
    scratch_folder,
    write_text,
)
from anomri.models import SHIPPED_LICENCE, shipped_licence, ships_weights
from anomri.pipeline.model_copies import copy_model
from anomri.recipe import write_archive


def pack(model: str | Path, archive: Path, *, licence: str = "") -> Path:
    """Pack a model's recipes, weights and thresholds into one file; return it.

    The subjects that thresholds were fitted on are numbered: their names are not passed on.

    Args:
        model: run folder or built-in name.
        archive: file to write, which ends in ``.zip``.
        licence: SPDX expression of the weights; that of the shipped weights where they are used.

    Raises:
        UsageError: no such model, no licence, or one that the shipped weights do not allow.
    """
    if archive.suffix != ".zip":
        raise UsageError(f"{archive.name}: expected a name that ends in .zip. Next: rename it.")
    with scratch_folder() as scratch:
        run = scratch / "model"
        copy_model(model, run)
        detector = load(run, device="cpu")
        chosen, text = _licence(run, licence)
        _number_subjects(run)
        write_text(run / LICENCE, text)
        write_text(run / README, _card(detector, chosen, archive.name))
        write_archive(run, archive, name=detector.name, licence=chosen)
    return archive


def _licence(run: Path, licence: str) -> tuple[str, str]:
    """Return the licence as an SPDX expression, and the text that goes with it."""
    if any(ships_weights(file) for file in run.rglob(WEIGHTS)):
        if licence not in ("", SHIPPED_LICENCE):
            raise UsageError(
                f"licence {licence}: expected {SHIPPED_LICENCE}, under which the shipped weights "
                "that this model uses are passed on. Next: omit --licence."
            )
        return SHIPPED_LICENCE, shipped_licence()
    if not licence.strip():
        raise UsageError(
            "expected the licence under which others may use the model. "
            "Next: add --licence with an SPDX identifier, such as CC-BY-4.0."
        )
    return licence, f"# Licence of this model\n\n{licence}\n"


def _number_subjects(run: Path) -> None:
    """Replace the names of subjects by numbers."""
    for file in (*run.rglob(THRESHOLDS), *run.rglob(MAP_THRESHOLDS)):
        entries = read_json(file, dict[str, Any], what="fitted thresholds")
        numbers: dict[str, str] = {}
        for threshold in _thresholds(entries.values()):
            names = threshold["fitted_on"]
            threshold["fitted_on"] = [numbers.setdefault(n, str(len(numbers) + 1)) for n in names]
        write_text(file, json.dumps(entries, indent=2) + "\n")


def _thresholds(entries: Iterable[Any]) -> Iterable[dict[str, Any]]:
    """Yield the thresholds of one map, or of several."""
    for entry in entries:
        if "fitted_on" in entry:
            yield entry
        else:
            yield from _thresholds(entry.values())


def _card(detector: Detector, licence: str, name: str) -> str:
    """Return what a reader should know about the model, as Markdown."""
    maps = [
        f"- {key}: `{model.recipe.family.name}`, of {', '.join(model.recipe.contrasts)}. "
        f"{' '.join(model.recipe.about.split())}".rstrip()
        for key, model in detector.map_models.items()
    ]
    expected = detector.first.rule.expected
    measured = "not measured" if expected is None else f"{expected.median_ml:.1f} ml a scan"
    optional = ", ".join(sorted(detector.optional)) or "none"
    return "\n".join(
        [
            f"# {detector.name}",
            "",
            "Research use only; not a medical device.",
            "",
            f"Contrasts: {', '.join(detector.contrasts)}; optional: {optional}.",
            f"False positives on healthy scans (median): {measured}.",
            f"Licence: {licence}, see {LICENCE}.",
            "",
            *maps,
            "",
            f"    anomri detect SCANS --model {name} -o out/",
            "",
        ]
    )
