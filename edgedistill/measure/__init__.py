"""Measuring time and memory on this machine, by MLPerf Mobile's conventions."""
