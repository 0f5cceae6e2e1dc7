"""What every member of ``RECONSTRUCTORS`` must keep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from anomri.errors import AnomriError, RecipeError, UsageError
from anomri.models import (
    RECONSTRUCTORS,
    Batch,
    Reconstructor,
    build,
    build_network,
    load_weights,
    options,
    save_weights,
    summary,
)
from anomri.recipe import Step

SIZE = (128, 128)
SMALLER = {  # where a family's layers leave something of smaller images
    "vae": (64, 64),
    "dvae": (80, 80),
    "ae": (32, 32),
    "vae1": (32, 32),
    "vae2": (32, 32),
    "vqvae": (32, 32),
}
NETWORKS = [name for name in RECONSTRUCTORS if name != "intensity"]


def size_of(name: str) -> tuple[int, ...]:
    return SMALLER.get(name, SIZE)


def images(name: str, count: int = 2, size: tuple[int, ...] | None = None) -> Tensor:
    """Random images with an empty border, as scans have."""
    own = torch.Generator().manual_seed(0)  # what a network draws stays its own affair
    drawn = torch.randn(count, 2, *(size or size_of(name)), generator=own)
    inside = torch.zeros_like(drawn)
    brain = [slice(n // 8, -(n // 8)) for n in drawn.shape[2:]]
    inside[:, :, brain[0], brain[1]] = 1
    return drawn * inside


def family_of(name: str, **options: float) -> Reconstructor:
    torch.manual_seed(1)
    return build(Step(name=name, options=dict(options)), channels=2, size=size_of(name))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("count", [1, 2])
def test_losses_are_finite_named_scalars(name: str, count: int) -> None:
    family, batch = family_of(name), Batch.of(images(name, count))
    for losses in (family.losses(batch), *(phase.losses(batch) for phase in family.phases())):
        assert "loss" in losses
        assert all(value.ndim == 0 and value.isfinite() for value in losses.values())


@pytest.mark.parametrize("name", RECONSTRUCTORS)
@pytest.mark.parametrize("count", [1, 3])
def test_reconstruction_keeps_the_shape(name: str, count: int) -> None:
    given = images(name, count)
    assert family_of(name).eval().reconstruct(given).shape == given.shape


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_odd_sizes_are_padded_and_cropped_back(name: str) -> None:
    size = (size_of(name)[0] + 1, size_of(name)[1] + 3)
    family, given = build(Step(name=name), channels=2, size=size), images(name, size=size)
    assert family.eval().reconstruct(given).shape == given.shape
    if name in NETWORKS:
        assert family.train().losses(Batch.of(given))["loss"].isfinite()


@pytest.mark.parametrize("name", NETWORKS)
def test_context_encoding_composes_with_every_family(name: str) -> None:
    batch = Batch.of(images(name))
    plain, encoded = family_of(name).eval(), family_of(name, context_weight=0.5).eval()
    torch.manual_seed(3)
    without = plain.losses(batch)
    torch.manual_seed(3)  # the same codes are drawn
    losses = encoded.losses(batch)
    assert losses["context"] > 0
    torch.testing.assert_close(losses["loss"], without["loss"] + 0.5 * losses["context"])


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_reconstruction_has_no_randomness(name: str) -> None:
    family = family_of(name).eval()
    with torch.inference_mode():
        assert torch.equal(family.reconstruct(images(name)), family.reconstruct(images(name)))


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_reconstruction_of_one_image_does_not_depend_on_the_others(name: str) -> None:
    family = family_of(name).eval()
    with torch.inference_mode():
        together, alone = (family.reconstruct(images(name, 3)[:n]) for n in (3, 1))
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_the_input_is_left_as_it_was(name: str) -> None:
    given = images(name)
    batch, family = Batch.of(given.clone()), family_of(name)
    if name in NETWORKS:
        for phase in family_of(name, context_weight=1).phases():
            phase.losses(batch)
    family.reconstruct(batch.image)
    assert torch.equal(batch.image, given)
    assert torch.equal(batch.target, given)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_parameter_is_dead(name: str) -> None:
    family = family_of(name)
    names = {id(parameter): key for key, parameter in family.named_parameters()}
    for phase in family.phases():
        family.zero_grad()
        torch.autograd.backward(phase.losses(Batch.of(images(name)))["loss"])
        largest = {
            names[id(parameter)]: 0.0
            if parameter.grad is None
            else float(parameter.grad.abs().max())
            for parameter in phase.parameters()
        }
        assert [key for key, value in largest.items() if value < 1e-8] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_everything_that_reconstructs_is_trained(name: str) -> None:
    """Its gradient comes from the turn that owns it; an opponent takes no part."""
    family = family_of(name)
    torch.autograd.backward(family.reconstruct(images(name)).square().mean())
    used = {id(p) for p in family.parameters() if p.grad is not None and p.grad.abs().max() > 0}
    learner, *opponents = family.phases()
    assert used <= {id(parameter) for parameter in learner.parameters()}
    for opponent in opponents:
        assert not used & {id(parameter) for parameter in opponent.parameters()}


@pytest.mark.parametrize("name", NETWORKS)
def test_phases_move_every_parameter_once(name: str) -> None:
    family = family_of(name)
    moved = [parameter for phase in family.phases() for parameter in phase.parameters()]
    assert {id(p) for p in moved} == {id(p) for p in family.parameters()}
    assert len(moved) == len({id(p) for p in moved})


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_an_untrained_network_is_not_the_identity(name: str) -> None:
    given, family = images(name), family_of(name).eval()
    with torch.inference_mode():
        difference = family.reconstruct(given) - given
    assert float(difference.abs().mean()) > 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_a_few_steps_lower_the_loss(name: str) -> None:
    family, batch = family_of(name), Batch.of(images(name))
    optimizer = torch.optim.Adam(family.parameters(), lr=1e-3)
    values = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = family.losses(batch)["loss"]
        torch.autograd.backward(loss)
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0]


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_bfloat16_agrees_with_float32(name: str) -> None:
    """Within 0.05 of the reconstruction's own spread: 8 bits of mantissa through ten layers."""
    family, given = family_of(name).eval(), images(name)
    with torch.inference_mode():
        plain = family.reconstruct(given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = family.reconstruct(given).float()
    spread = float(plain.std()) if name in NETWORKS else 1.0
    assert float((plain - short).abs().mean()) < 0.05 * spread


@pytest.mark.parametrize("name", NETWORKS)
def test_every_phase_trains_in_bfloat16(name: str) -> None:
    family = family_of(name, context_weight=1.0)
    batch = Batch.of(images(name))
    for phase in family.phases():
        family.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = phase.losses(batch)["loss"]
        assert loss.dtype == torch.float32
        torch.autograd.backward(loss)
        assert all(p.grad is not None and p.grad.isfinite().all() for p in phase.parameters())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("loss", ["plain", "collapse_robust"])
def test_nothing_is_made_on_another_device(name: str, loss: str) -> None:
    """A tensor that is made on the CPU cannot meet those of the device named "meta"."""
    terms = {"context_weight": 1, "loss": loss, "reconstruction": "l1"}  # autocast has no meta
    step = Step(name=name, options=terms)
    with torch.device("meta"):
        family = build(step, channels=2, size=size_of(name))
        batch = Batch.of(torch.empty(2, 2, *size_of(name)))
    for phase in family.phases():
        assert {value.device.type for value in phase.losses(batch).values()} == {"meta"}
    assert family.reconstruct(batch.image).device.type == "meta"


LOADER = """
import sys
from pathlib import Path
from anomri.models import build, load_weights
from anomri.recipe import (Step)

folder = Path(sys.argv[1])
for word in sys.argv[2:]:
    name, side = word.split(":")
    family = build(Step(name=name), channels=2, size=(int(side),) * 2)
    load_weights(family, folder / f"{name}.safetensors")
    for key, tensor in family.state_dict().items():
        assert (folder / name / key).read_bytes() == tensor.numpy().tobytes(), (name, key)
"""


def test_weights_survive_another_process_bit_for_bit(tmp_path: Path) -> None:
    for name in RECONSTRUCTORS:
        family = family_of(name)
        save_weights(family, tmp_path / f"{name}.safetensors")
        (tmp_path / name).mkdir()
        for key, tensor in family.state_dict().items():
            (tmp_path / name / key).write_bytes(tensor.numpy().tobytes())
    words = [f"{name}:{size_of(name)[0]}" for name in RECONSTRUCTORS]
    subprocess.run([sys.executable, "-c", LOADER, str(tmp_path), *words], check=True)


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    """Their hash identifies a model: results of one that was trained again stay valid."""
    family, path = family_of("vae"), tmp_path / "x.safetensors"
    contents = set()
    for _ in range(10):
        save_weights(family, path)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    load_weights(family, path)


def test_weights_appear_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(family_of("vae"), path)
    before = path.read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("anomri.models.weights.save", broken)
    with pytest.raises(OSError, match="disk full"):
        save_weights(family_of("vae"), path)
    assert path.read_bytes() == before


def test_weights_of_another_family_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(family_of("vae"), path)
    with pytest.raises(AnomriError, match=r"weights.safetensors.*'dvae'.*'vae'"):
        load_weights(family_of("dvae"), path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(build(Step(name="vae"), channels=1, size=SIZE), path)
    with pytest.raises(AnomriError, match=r"decoder.4.*shape"):
        load_weights(family_of("vae"), path)


@pytest.mark.parametrize("content", [None, b"", b"not a safetensors file at all"])
def test_unreadable_weights_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AnomriError, match="cannot be read"):
        load_weights(family_of("vae"), path)


def test_an_unknown_family_names_those_that_exist() -> None:
    with pytest.raises(RecipeError, match=r"intensity, vae, dvae, .*'vea'"):
        build(Step(name="vea"), channels=1, size=SIZE)


def test_an_unknown_option_names_those_that_exist() -> None:
    common = ["context_largest", "context_smallest", "context_weight", "loss", "reconstruction"]
    assert options("ae") == common
    assert options("vae") == sorted([*common, "kl_reduction", "kl_weight"])
    assert options("vqvae") == sorted([*common, "codes", "commitment_weight"])
    assert set(options("biaae")) == set(options("aae")) == {*options("vae"), "adversarial_weight"}
    with pytest.raises(RecipeError, match=r"'beta'.*kl_reduction, kl_weight, loss, reconstruction"):
        build(Step(name="vae", options={"beta": 1}), channels=1, size=SIZE)
    with pytest.raises(RecipeError, match=r"'kl_weight'.*none"):
        build(Step(name="intensity", options={"kl_weight": 1}), channels=1, size=SIZE)


@pytest.mark.parametrize("name", ["plan", "objective", "size", "channels"])
def test_what_is_no_option_cannot_be_set_by_a_recipe(name: str) -> None:
    with pytest.raises(RecipeError, match="no option"):
        build(Step(name="vae", options={name: 1}), channels=1, size=SIZE)


def test_an_unknown_family_names_all_that_exist() -> None:
    with pytest.raises(RecipeError, match=r"\bvae, .*folded_segmenter.*; got 'vea'. Next: "):
        build_network(Step(name="vea"), channels=1, size=SIZE)


def test_options_reach_the_loss() -> None:
    step = Step(name="dvae", options={"reconstruction": "l1", "kl_weight": 0.5})
    weighted = build(step, channels=2, size=(80, 80)).losses(Batch.of(images("dvae")))
    expected = weighted["reconstruction"] + 0.5 * weighted["kl"]
    torch.testing.assert_close(weighted["loss"], expected)


def test_intensity_leaves_the_image_as_its_own_residual() -> None:
    family = build(Step(name="intensity"), channels=2, size=())
    given = torch.randn(2, 2, 9, 7)
    assert torch.equal(given - family.reconstruct(given), given)
    with pytest.raises(UsageError, match="nothing to train"):
        family.losses(Batch.of(given))
    assert summary(family) == []
