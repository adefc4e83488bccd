"""The gate: the ladder from teacher to phone, its tolerances in one table, and the names of faults."""
