from . import catalogue, comparison, pretraining, reproduction
from .pretraining import LesionTrainingSchedule

__all__ = ["LesionTrainingSchedule", "catalogue", "comparison", "pretraining", "reproduction"]
