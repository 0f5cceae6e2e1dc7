"""Training of the shipped network `lesions`, on patients drawn from labelled healthy heads."""

from anomri.experiments.pretraining.lesion_network import LesionTrainingSchedule, train_lesions

__all__ = ["LesionTrainingSchedule", "train_lesions"]
