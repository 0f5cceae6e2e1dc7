from .definition import Definition
from .html_page import write_html_page
from .page import write_page
from .plan import Plan, Report, compare

__all__ = ["Definition", "Plan", "Report", "compare", "write_html_page", "write_page"]
