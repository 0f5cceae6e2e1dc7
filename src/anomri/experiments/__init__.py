"""Experiments of our own: rows of the papers, comparisons, and training of shipped networks."""
