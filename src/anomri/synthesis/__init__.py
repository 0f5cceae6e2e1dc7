"""Synthetic images: patients with lesions for pretraining, and digital phantoms."""

from anomri.synthesis.acquisition import Scanner, acquire
from anomri.synthesis.anatomy import Anatomy
from anomri.synthesis.healthy_contrasts import SEQUENCES
from anomri.synthesis.patients import draw_patient
from anomri.synthesis.phantoms.cohort import make_phantoms

__all__ = [
    "SEQUENCES",
    "Anatomy",
    "Scanner",
    "acquire",
    "draw_patient",
    "make_phantoms",
]
