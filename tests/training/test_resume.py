"""Checkpoints without pickles: everything comes back as it was."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from anomri.errors import UsageError
from anomri.training.resume import SafetensorsIO, pack, unpack

SHARED = torch.arange(6.0).reshape(2, 3)


def checkpoint() -> dict[str, Any]:
    return {
        "epoch": 3,
        "loops": {"fit": {"done": True, "rate": 1e-3, "best": float("inf"), "none": None}},
        "state_dict": OrderedDict(weight=SHARED, again=SHARED, part=SHARED.T[:2]),
        "optimizer_states": [
            {"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"betas": (0.9, 0.999)}]}
        ],
        "short": torch.ones(3, dtype=torch.bfloat16),
        "counts": torch.tensor(7),
        "@tensor": "a key that looks like a tag",
    }


def assert_same(left: Any, right: Any) -> None:
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key, value in left.items():
            assert_same(value, right[key])
    elif isinstance(left, list | tuple):
        assert type(left) is type(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        assert left == right


def test_a_checkpoint_survives_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.safetensors"
    SafetensorsIO().save_checkpoint(checkpoint(), path)
    assert_same(checkpoint(), SafetensorsIO().load_checkpoint(path))
    assert [file.name for file in path.parent.iterdir()] == ["state.safetensors"]


def test_packing_refuses_what_is_not_data() -> None:
    with pytest.raises(TypeError, match=r"cannot hold .*Path"):
        pack({"where": Path()}, {})


def test_packed_trees_are_plain_json() -> None:
    tensors: dict[str, torch.Tensor] = {}
    tree = pack({1: (SHARED, "text")}, tensors)
    assert tree == {"@items": [[1, {"@tuple": [{"@tensor": "0"}, "text"]}]]}
    assert_same({1: (SHARED, "text")}, unpack(tree, tensors))


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickled"])
def test_a_broken_checkpoint_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="delete the run's `resume` folder"):
        SafetensorsIO().load_checkpoint(path)


def test_removing_twice_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    SafetensorsIO().save_checkpoint({"epoch": 1}, path)
    SafetensorsIO().remove_checkpoint(path)
    SafetensorsIO().remove_checkpoint(path)
    assert not path.exists()
