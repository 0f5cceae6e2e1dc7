from __future__ import annotations

import pytest
import torch

from anomri.models import build
from anomri.recipe import Step
from anomri.scoring import SCORES

FAMILY = build(Step(name="intensity"), channels=1, size=())
IMAGES = torch.tensor([3.0, 1.0, 2.0]).reshape(1, 1, 3)
EXPECTED = torch.tensor([1.0, 4.0, 2.0]).reshape(1, 1, 3)


@pytest.mark.parametrize(
    ("sign", "values"),
    [
        ("signed", [2.0, -3.0, 0.0]),
        ("positive", [2.0, 0.0, 0.0]),
        ("negative", [0.0, 3.0, 0.0]),
        ("absolute", [2.0, 3.0, 0.0]),
    ],
)
def test_sign_by_hand(sign: str, values: list[float]) -> None:
    result = SCORES["residual"](FAMILY, IMAGES, EXPECTED, sign=sign)
    assert result.flatten().tolist() == values


def test_signed_is_the_default() -> None:
    result = SCORES["residual"](FAMILY, IMAGES, EXPECTED)
    assert result.flatten().tolist() == [2.0, -3.0, 0.0]
    assert IMAGES.flatten().tolist() == [3.0, 1.0, 2.0]
