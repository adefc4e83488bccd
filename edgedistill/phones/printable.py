"""What a phone or another tool says, fit to be shown: neither may speak to the terminal of whoever reads it."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text as one line, with a question mark for every letter that is none: escape sequences, breaks, nulls."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
