"""Measuring speed and memory by MLPerf's convention."""
