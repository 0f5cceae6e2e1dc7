"""Results in the files that other programs read."""

from anomri.pipeline.export_formats.export import EXPORTS, export

__all__ = ["EXPORTS", "export"]
