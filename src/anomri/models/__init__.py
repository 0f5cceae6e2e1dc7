"""Networks: reconstructors of healthy anatomy, supervised segmenters, and how both are built."""

from anomri.models.base import TOTAL, Batch, Losses, Network, Reconstructor, Segmenter
from anomri.models.build import RECONSTRUCTORS, SEGMENTERS, build_network
from anomri.models.folded_segmenter import FoldedSegmenter, weighted_losses
from anomri.models.latents import Latent
from anomri.models.summary import Cost, LayerSummary, cost, summary
from anomri.models.weights import load_weights, save_weights

__all__ = [
    "RECONSTRUCTORS",
    "SEGMENTERS",
    "TOTAL",
    "Batch",
    "Cost",
    "FoldedSegmenter",
    "Latent",
    "LayerSummary",
    "Losses",
    "Network",
    "Reconstructor",
    "Segmenter",
    "build_network",
    "cost",
    "load_weights",
    "save_weights",
    "summary",
    "weighted_losses",
]
