"""Synthetic images: patients with lesions for pretraining, and digital phantoms."""

from anomri.synthesis.acquisition import Scanner, acquire
from anomri.synthesis.anatomy import FIRST_CORTEX, HINDBRAIN, LATERAL, LOBAR_WHITE, Anatomy
from anomri.synthesis.healthy_contrasts import SEQUENCES
from anomri.synthesis.morphology import dilate, erode
from anomri.synthesis.patients import Patients, draw_from, draw_patients
from anomri.synthesis.phantoms.cohort import make_phantoms
from anomri.synthesis.random_streams import RandomStreams
from anomri.synthesis.relaxation import paint_by_relaxation
from anomri.synthesis.tissue import Anatomies

__all__ = [
    "FIRST_CORTEX",
    "HINDBRAIN",
    "LATERAL",
    "LOBAR_WHITE",
    "SEQUENCES",
    "Anatomies",
    "Anatomy",
    "Patients",
    "RandomStreams",
    "Scanner",
    "acquire",
    "dilate",
    "draw_from",
    "draw_patients",
    "erode",
    "make_phantoms",
    "paint_by_relaxation",
]
