"""Folders of prepared scans, with fingerprints of the input files."""
