"""The picture of a scan."""
