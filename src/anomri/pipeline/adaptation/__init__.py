"""Adaptation of the default model to a user's own scans, without labels."""

from anomri.pipeline.adaptation.adaptation import Adaptation, adapt

__all__ = ["Adaptation", "adapt"]
