"""Prepared scans on disk."""
