"""How the network that finds the brain is taught, and how good it is.

The network itself and its use stand in :mod:`anomri.preprocessing`.
"""

from anomri.extraction.training import Lesson, train_brain

__all__ = ["Lesson", "train_brain"]
