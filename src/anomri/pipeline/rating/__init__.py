"""Ratings of results by a reader: kept in ``ratings.tsv``, given and shown on the report."""

from anomri.pipeline.rating.rating_panel import rating_panel
from anomri.pipeline.rating.ratings import Rating, merge_ratings, read_ratings, write_ratings
from anomri.pipeline.rating.reader_precision import reader_precision

__all__ = [
    "Rating",
    "merge_ratings",
    "rating_panel",
    "read_ratings",
    "reader_precision",
    "write_ratings",
]
