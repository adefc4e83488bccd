"""The verbs, one file each: what the command line and the Python API both call."""
