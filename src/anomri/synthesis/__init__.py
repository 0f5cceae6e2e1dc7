"""Patients drawn at random from labelled heads: lesions, contrasts, scanners, fields of view."""
