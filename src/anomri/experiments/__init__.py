"""Experiments of our own: rows of the papers, comparisons, and training of shipped networks."""

from anomri.experiments.pretraining import LesionTrainingSchedule

__all__ = ["LesionTrainingSchedule"]
