"""Patients drawn at random from labelled heads: lesions, contrasts, scanners, fields of view."""

from anomri.synthesis.acquisition import Scanner, measure
from anomri.synthesis.anatomy import Anatomy
from anomri.synthesis.patients import draw_patient
from anomri.synthesis.phantoms.cohort import make_phantoms
from anomri.synthesis.sequences import SEQUENCES

__all__ = ["SEQUENCES", "Anatomy", "Scanner", "draw_patient", "make_phantoms", "measure"]
