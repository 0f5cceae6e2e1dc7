"""How the networks that ship with anomri are taught, on images drawn from labelled healthy heads.

The networks themselves and their use stand elsewhere: the one that finds brains in
:mod:`anomri.preprocessing`, the one that finds lesions in :mod:`anomri.models`.
"""

from anomri.teaching.brains import BrainLesson, train_brain
from anomri.teaching.lesions import LesionLesson, train_lesions

__all__ = ["BrainLesson", "LesionLesson", "train_brain", "train_lesions"]
