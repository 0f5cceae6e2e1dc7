from .fit import train
from .launching import QuietLoader, initialise_worker, readable_process_errors
from .samples import healthy_slices

__all__ = [
    "QuietLoader",
    "healthy_slices",
    "initialise_worker",
    "readable_process_errors",
    "train",
]
