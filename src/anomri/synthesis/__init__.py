"""Images drawn at random from labelled heads: any contrast, position, scanner and field of view."""

from anomri.synthesis.drawing import Drawing, draw_image
from anomri.synthesis.heads import LabelledHead

__all__ = ["Drawing", "LabelledHead", "draw_image"]
