"""Training of the network `lesions`, on patients drawn from labelled healthy heads."""

from anomri.teaching.lesions import LesionLesson, train_lesions

__all__ = ["LesionLesson", "train_lesions"]
