from .conversion import converted
from .layout import LAYOUT, layout_with_choices

__all__ = ["LAYOUT", "converted", "layout_with_choices"]
