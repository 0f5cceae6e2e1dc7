"""Teaching a family what healthy anatomy looks like; the only room that knows Lightning."""

from anomri.training.fit import train

__all__ = ["train"]
