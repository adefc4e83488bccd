"""Precisions by name, and how calibration text is chosen."""
