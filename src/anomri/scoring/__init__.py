"""Anomaly scores of voxels and slices."""

from anomri.scoring.anomaly_maps import AnomalyMaps
from anomri.scoring.coarse_segmentation import mean_over_mirror_image, network_input
from anomri.scoring.fitted import Fitted
from anomri.scoring.latent_distance import LatentStatistics, encode_slices, latent_distances
from anomri.scoring.residual import reconstruction_error
from anomri.scoring.scores import SCORES, SEGMENTATIONS, score_scan
from anomri.scoring.slice_scores import (
    MAHALANOBIS,
    MEAN_RESIDUAL,
    SliceFits,
    empty_healthy_slices,
    slice_scores,
)
from anomri.scoring.windowed_segmentation import segment_scan, tumour_map

__all__ = [
    "MAHALANOBIS",
    "MEAN_RESIDUAL",
    "SCORES",
    "SEGMENTATIONS",
    "AnomalyMaps",
    "Fitted",
    "LatentStatistics",
    "SliceFits",
    "empty_healthy_slices",
    "encode_slices",
    "latent_distances",
    "mean_over_mirror_image",
    "network_input",
    "reconstruction_error",
    "score_scan",
    "segment_scan",
    "slice_scores",
    "tumour_map",
]
