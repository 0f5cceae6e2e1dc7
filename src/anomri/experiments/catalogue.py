"""Catalogue of the reconstructors and the rows of the papers, with sizes and costs.

Networks are built on the ``meta`` device, without memory for their weights.
``docs/models.md`` is :func:`markdown` of this checkout::

    anomri models recipes --markdown > docs/models.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from anomri.errors import UsageError
from anomri.models import (
    RECONSTRUCTORS,
    Cost,
    LayerSummary,
    Network,
    Reconstructor,
    build_recipe_network,
    cost,
    summary,
)
from anomri.recipe import Preparation, Recipe, Step

SIDE = 128  # pixels; one size for all reconstructors, so that they can be compared
HEADINGS = ("row", "family", "image", "latents", "layers", "parameters", "multiply-adds", "memory")

INTRODUCTION = """# Models

Made by `anomri models recipes --markdown`; a test keeps it up to date.

*Latents* is the shape of one image's latents, *layers* the number of convolutions and fully
connected layers of a reconstruction, *parameters* include a discriminator's, *multiply-adds* are
those of reconstructing one image, and *memory* is the float32 outputs of all layers that training
keeps for one image.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A reconstructor or a row of a paper.

    Attributes:
        name: name of the reconstructor or the row.
        paper: folder of the row's paper; empty for a reconstructor.
        family: name in ``RECONSTRUCTORS``.
        image: (C, *space) of one image.
        latents: (D, *space) of one image's latents; empty without latents.
        layers: layers of ``reconstruct``, in order of execution.
        cost: cost of one image.
    """

    name: str
    paper: str
    family: str
    image: tuple[int, ...]
    latents: tuple[int, ...]
    layers: tuple[LayerSummary, ...]
    cost: Cost

    @property
    def trainable(self) -> tuple[LayerSummary, ...]:
        """The convolutions and fully connected layers."""
        return tuple(row for row in self.layers if "Conv" in row.kind or row.kind == "Linear")

    def cells(self) -> tuple[str, ...]:
        """Return the cells under ``HEADINGS``."""
        return (
            self.name,
            self.family,
            _shape(self.image),
            _shape(self.latents),
            str(len(self.trainable)),
            f"{self.cost.parameters:,}",
            f"{self.cost.multiply_adds / 1e6:,.0f} M",
            f"{self.cost.activation_bytes / 2**20:,.1f} MiB",
        )


def families() -> list[Entry]:
    """List all reconstructors, for one contrast of 128 x 128 pixels."""
    preparation = Preparation(shape=(SIDE, SIDE, None))
    return [
        describe(Recipe(name=name, preparation=preparation, family=Step(name=name)))
        for name in RECONSTRUCTORS
    ]


def rows(folder: Path) -> list[Entry]:
    """List the rows of one paper's folder, or of all papers' in a folder of them.

    Raises:
        UsageError: there are none.
    """
    files = sorted([*folder.glob("rows/*.yaml"), *folder.glob("*/rows/*.yaml")])
    if not files:
        raise UsageError(
            f"{folder.resolve().name}: expected rows/*.yaml, of one paper or of several; found "
            "none. "
            "Next: give the folder `recipes` of a checkout."
        )
    return [describe(Recipe.load(file), paper=file.absolute().parents[1].name) for file in files]


def describe(recipe: Recipe, *, paper: str = "") -> Entry:
    """Describe a recipe's network, built without its weights."""
    with torch.device("meta"):
        network = build_recipe_network(recipe)
    return Entry(
        name=recipe.name,
        paper=paper,
        family=recipe.family.name,
        image=(network.channels, *network.size),
        latents=_latent_shape(network),
        layers=tuple(summary(network)),
        cost=cost(network),
    )


def markdown(folder: Path) -> str:
    """Return the page of all reconstructors, all rows of a folder, and all layers."""
    entries = rows(folder)
    tables = [f"## Families, one contrast of {SIDE} × {SIDE} pixels", _table(families())]
    for paper in sorted({entry.paper for entry in entries}):
        of_paper = (entry for entry in entries if entry.paper == paper)
        tables += [f"## Rows of {paper}", _table(of_paper)]
    shown = {(entry.family, entry.image): entry for entry in reversed(entries)}
    layers = [_layers(entry) for _, entry in sorted(shown.items()) if entry.trainable]
    return "\n\n".join([INTRODUCTION.rstrip(), *tables, "## Layers", *layers]) + "\n"


def _latent_shape(network: Network) -> tuple[int, ...]:
    """Return the shape of one image's latents; empty without latents."""
    encode = getattr(network.eval(), "encode", None)
    if encode is None or not isinstance(network, Reconstructor):
        return ()
    with torch.no_grad():
        latents = encode(torch.zeros(1, network.channels, *network.size, device="meta")).mean
    return tuple(latents.shape[1:])


def _table(entries: Iterable[Entry]) -> str:
    return _lines(HEADINGS, [entry.cells() for entry in entries])


def _layers(entry: Entry) -> str:
    lines = [
        (row.name, row.kind, _shape(row.shape), f"{row.parameters:,}") for row in entry.trainable
    ]
    table = _lines(("layer", "kind", "output", "parameters"), lines)
    return f"### {entry.family}, image {_shape(entry.image)}\n\n{table}"


def _lines(headings: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    ruled = [headings, ["---"] * len(headings), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled)


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) if shape else "none"
