"""Training of networks; the only package that uses Lightning."""

from anomri.training.fit import train
from anomri.training.samples import healthy_slices

__all__ = ["healthy_slices", "train"]
