"""Experiments: reproduction of the papers, comparisons, and training of the shipped networks."""

from anomri.experiments.pretraining import LesionTrainingSchedule

__all__ = ["LesionTrainingSchedule"]
