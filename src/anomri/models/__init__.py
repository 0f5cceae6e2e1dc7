"""Networks: reconstructors of healthy anatomy and supervised segmenters, built by name."""

from anomri.models.base import TOTAL, Batch, Losses, Network, Phase, Reconstructor, Segmenter
from anomri.models.devices import (
    available_devices,
    choose_device,
    limit_threads,
    reason_for,
)
from anomri.models.factory import (
    RECONSTRUCTORS,
    SEGMENTERS,
    build,
    build_network,
    build_segmenter,
    options,
)
from anomri.models.folded_segmenter import FoldedSegmenter, weighted_losses
from anomri.models.latents import Latent
from anomri.models.summary import Cost, LayerSummary, cost, summary
from anomri.models.trained import (
    SHIPPED_LICENCE,
    build_recipe_network,
    shipped_licence,
    shipped_weights,
    ships_weights,
    trained_networks,
)
from anomri.models.weights import load_weights, save_weights

__all__ = [
    "RECONSTRUCTORS",
    "SEGMENTERS",
    "SHIPPED_LICENCE",
    "TOTAL",
    "Batch",
    "Cost",
    "FoldedSegmenter",
    "Latent",
    "LayerSummary",
    "Losses",
    "Network",
    "Phase",
    "Reconstructor",
    "Segmenter",
    "available_devices",
    "build",
    "build_network",
    "build_recipe_network",
    "build_segmenter",
    "choose_device",
    "cost",
    "limit_threads",
    "load_weights",
    "options",
    "reason_for",
    "save_weights",
    "shipped_licence",
    "shipped_weights",
    "ships_weights",
    "summary",
    "trained_networks",
    "weighted_losses",
]
