"""Training of the shipped network `lesions`, on patients drawn from labelled healthy heads."""

from anomri.experiments.pretraining.lesion_network import LesionLesson, train_lesions

__all__ = ["LesionLesson", "train_lesions"]
