"""Phones: what is asked of a benchmark there, what it answers, and how the native runner is built and bundled."""
