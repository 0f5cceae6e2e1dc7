from .html_page import write_html_page
from .page import (
    TextTable,
    made_section,
    put_between_markers,
    tables_of,
    write_page,
)
from .plan import Plan, reproduce, trial
from .protocol import Protocol, Section, Source
from .rows import PAIR, Row, pair_steps, rows_of
from .scans import Data, halves
from .table import commit, setting_of
from .training import (
    ENDED,
    Work,
    ending,
    keep_curves,
    learnt_from,
    train_row,
)

__all__ = [
    "ENDED",
    "PAIR",
    "Data",
    "Plan",
    "Protocol",
    "Row",
    "Section",
    "Source",
    "TextTable",
    "Work",
    "commit",
    "ending",
    "halves",
    "keep_curves",
    "learnt_from",
    "made_section",
    "pair_steps",
    "put_between_markers",
    "reproduce",
    "rows_of",
    "setting_of",
    "tables_of",
    "train_row",
    "trial",
    "write_html_page",
    "write_page",
]
