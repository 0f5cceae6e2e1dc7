"""How abnormal each voxel looks to a model.

A score is a function ``(family, images, reconstruction, *, options) -> values`` on tensors of one
shape, (N, C, *space); higher is more abnormal. Its keyword-only parameters are the options that a
recipe may give. It is called without gradients; one that needs them enables them itself.

To add a score: write one function and add one line to ``SCORES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Any, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from anomri.errors import RecipeError
from anomri.family import Family
from anomri.recipe import Option, Step
from anomri.scan import AnomalyMap, Scan
from anomri.scoring.passes import Score, score_and_reconstruct
from anomri.scoring.residual import residual
from anomri.scoring.slices import slice_scores

SCORES: Mapping[str, Callable[..., Tensor]] = {"residual": residual}


def score_scan(
    family: Family, scan: Scan, step: Step, *, device: torch.device, batch_size: int = 32
) -> AnomalyMap:
    """Compare a scan with what a model expects, voxel by voxel.

    Args:
        family: a family of slices sees the axial slices that hold brain, a family of volumes the
            whole scan; both padded or cropped to its size around the centre. Is moved to
            ``device``.
        scan: with the contrasts of the family, in its order.
        step: a name of ``SCORES`` with its options.
        device: where the network runs; in bfloat16 where it is a CUDA device.
        batch_size: slices per pass.

    Returns:
        The map and the reconstruction, both 0 outside the brain.

    Raises:
        RecipeError: there is no such score or option, or its value is wrong.
    """
    score = _score_of(step)
    family.to(device)
    if len(family.size) < 3:
        # Convolutions over slices run up to twice as fast in this order; torch's types lack it.
        family.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    values, reconstruction = score_and_reconstruct(
        family, scan, score, device=device, batch_size=batch_size
    )
    return AnomalyMap(scan=scan, values=values, reconstruction=reconstruction, score=step.name)


def _score_of(step: Step) -> Score:
    """Look a score up and bind its options."""
    if step.name not in SCORES:
        raise RecipeError(f"score: expected one of {', '.join(SCORES)}; got '{step.name}'.")
    function = SCORES[step.name]
    known = [p.name for p in signature(function).parameters.values() if _is_option(p)]
    unknown = sorted(step.options.keys() - set(known))
    if unknown:
        existing = ", ".join(known) or "none"
        raise RecipeError(
            f"score '{step.name}': no option '{unknown[0]}'; its options: {existing}."
        )
    hints = get_type_hints(function)
    for option, value in step.options.items():
        _check(f"score '{step.name}': option '{option}'", hints[option], value)
    return partial(function, **step.options)


def _is_option(parameter: Parameter) -> bool:
    return parameter.kind is Parameter.KEYWORD_ONLY


def _check(where: str, hint: Any, value: Option) -> None:
    try:
        TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        problems = "; ".join(item["msg"] for item in error.errors())
        raise RecipeError(f"{where}: {problems} (got {value!r}).") from error


__all__ = ["SCORES", "score_scan", "slice_scores"]
