from .conversion import converted
from .layout import LAYOUT, layout_by_rules, layout_with_choices

__all__ = ["LAYOUT", "converted", "layout_by_rules", "layout_with_choices"]
