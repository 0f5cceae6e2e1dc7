from .lesion_network import LesionTrainingSchedule, train_lesions

__all__ = ["LesionTrainingSchedule", "train_lesions"]
