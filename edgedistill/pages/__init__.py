"""The report: one self-contained page about a run, and the same as Markdown and JSON."""
