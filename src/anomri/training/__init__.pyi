from .adaptation.cross_fitting import AdaptationSchedule, Deadline, train_fold
from .adaptation.examples import START_AGAIN, Example, read_example, write_example
from .fit import train
from .launching import QuietLoader, initialise_worker, readable_process_errors
from .samples import healthy_slices
from .training_state import Progress, TrainingSchedule, TrainingState

__all__ = [
    "START_AGAIN",
    "AdaptationSchedule",
    "Deadline",
    "Example",
    "Progress",
    "QuietLoader",
    "TrainingSchedule",
    "TrainingState",
    "healthy_slices",
    "initialise_worker",
    "read_example",
    "readable_process_errors",
    "train",
    "train_fold",
    "write_example",
]
