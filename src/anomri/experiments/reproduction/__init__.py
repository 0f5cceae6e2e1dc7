"""Reproduction of a paper's rows, from recipes to measured tables and page."""

from anomri.experiments.reproduction.html_page import write_html_page
from anomri.experiments.reproduction.page import (
    TextTable,
    made_section,
    put_between_markers,
    tables_of,
    write_page,
)
from anomri.experiments.reproduction.plan import Plan, reproduce, trial
from anomri.experiments.reproduction.protocol import Protocol, Section, Source
from anomri.experiments.reproduction.rows import PAIR, Row, pair_steps, rows_of
from anomri.experiments.reproduction.scans import Data, halves
from anomri.experiments.reproduction.table import commit, setting_of
from anomri.experiments.reproduction.training import (
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
