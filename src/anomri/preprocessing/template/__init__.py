"""Registration to the MNI152 template, and what it tells about a scan."""
