"""What there is to train: every family, and every row of the papers, with what it costs.

Networks are built without memory for their weights, so that the list costs next to nothing.
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

SIDE = 128  # pixels; one size for all families, so that they can be compared
HEADINGS = ("row", "family", "image", "code", "layers", "parameters", "multiply-adds", "memory")

INTRODUCTION = """# Models

Made by `anomri models recipes --markdown`; a test keeps it up to date.

*Code* is the shape of one image's code, *layers* counts convolutions and fully connected layers on
the way to a reconstruction, *parameters* include a discriminator's, *multiply-adds* are those of
reconstructing one image, and *memory* is the float32 outputs of all layers that training keeps
for one image.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One family or one row of a paper.

    Attributes:
        name: of the family or the row.
        paper: folder of the row's paper; empty for a family.
        family: name in ``RECONSTRUCTORS``.
        image: (C, *space) of one image.
        code: (D, *space) of one code; empty without one.
        layers: those that ``reconstruct`` uses, in order.
        cost: of one image.
    """

    name: str
    paper: str
    family: str
    image: tuple[int, ...]
    code: tuple[int, ...]
    layers: tuple[LayerSummary, ...]
    cost: Cost

    @property
    def learnt(self) -> tuple[LayerSummary, ...]:
        """The convolutions and fully connected layers."""
        return tuple(row for row in self.layers if "Conv" in row.kind or row.kind == "Linear")

    def cells(self) -> tuple[str, ...]:
        """Return what stands under ``HEADINGS``."""
        return (
            self.name,
            self.family,
            _shape(self.image),
            _shape(self.code),
            str(len(self.learnt)),
            f"{self.cost.parameters:,}",
            f"{self.cost.multiply_adds / 1e6:,.0f} M",
            f"{self.cost.activation_bytes / 2**20:,.1f} MiB",
        )


def families() -> list[Entry]:
    """List every family, for one contrast of 128 x 128 pixels."""
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
            f"{folder.name}: expected rows/*.yaml, of one paper or of several; found none. "
            "Next: give the folder `recipes` of a checkout."
        )
    return [describe(Recipe.load(file), paper=file.absolute().parents[1].name) for file in files]


def describe(recipe: Recipe, *, paper: str = "") -> Entry:
    """Build a recipe's network without its weights and look at it."""
    with torch.device("meta"):
        network = build_recipe_network(recipe)
    return Entry(
        name=recipe.name,
        paper=paper,
        family=recipe.family.name,
        image=(network.channels, *network.size),
        code=_code_of(network),
        layers=tuple(summary(network)),
        cost=cost(network),
    )


def markdown(folder: Path) -> str:
    """Return the page of all families, all rows of a folder, and all layers."""
    found = rows(folder)
    tables = [f"## Families, one contrast of {SIDE} × {SIDE} pixels", _table(families())]
    for paper in sorted({entry.paper for entry in found}):
        tables += [f"## Rows of {paper}", _table(entry for entry in found if entry.paper == paper)]
    shown = {(entry.family, entry.image): entry for entry in reversed(found)}
    layers = [_layers(entry) for _, entry in sorted(shown.items()) if entry.learnt]
    return "\n\n".join([INTRODUCTION.rstrip(), *tables, "## Layers", *layers]) + "\n"


def _code_of(network: Network) -> tuple[int, ...]:
    """Return the shape of one code, from an empty image; nothing where there is no code."""
    encode = getattr(network.eval(), "encode", None)
    if encode is None or not isinstance(network, Reconstructor):
        return ()
    with torch.no_grad():
        code = encode(torch.zeros(1, network.channels, *network.size, device="meta")).mean
    return tuple(code.shape[1:])


def _table(entries: Iterable[Entry]) -> str:
    return _lines(HEADINGS, [entry.cells() for entry in entries])


def _layers(entry: Entry) -> str:
    lines = [(row.name, row.kind, _shape(row.shape), f"{row.parameters:,}") for row in entry.learnt]
    table = _lines(("layer", "kind", "gives out", "parameters"), lines)
    return f"### {entry.family}, image {_shape(entry.image)}\n\n{table}"


def _lines(headings: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    ruled = [headings, ["---"] * len(headings), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled)


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) if shape else "none"
