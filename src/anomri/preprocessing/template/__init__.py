"""Registration to the MNI152 template, and checks of a scan against it."""
