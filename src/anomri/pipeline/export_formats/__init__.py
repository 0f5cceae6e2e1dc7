"""Results in the files that other programs read."""

from anomri.pipeline.export_formats.export import EXPORTS, export, has_failure_table

__all__ = ["EXPORTS", "export", "has_failure_table"]
