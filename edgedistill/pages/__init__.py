"""A run or a folder of artifacts as one page: HTML a person enjoys, and the same as Markdown and JSON."""
