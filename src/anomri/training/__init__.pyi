from .fit import train
from .samples import healthy_slices

__all__ = ["healthy_slices", "train"]
