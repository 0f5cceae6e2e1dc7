"""Teaching a family what healthy anatomy looks like; the only room that knows Lightning."""

from anomri.training.fit import train
from anomri.training.samples import healthy_slices

__all__ = ["healthy_slices", "train"]
