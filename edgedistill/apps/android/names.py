"""Names from a model, which anyone may have written, in Java, XML, Markdown and on the disk: escaped or refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape

from edgedistill.errors import ConfigError

_SAFE_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_RENAMED = (".gz", ".jar", ".zip", "~", ".scc")
"""Ends of asset names that Android's packager leaves out, or unpacks and renames."""
_OURS = re.compile(r"sample|edgedistill(_.*)?|.*_pack")
"""Modules that lie beside the model's own."""
_JAVA_WORDS = re.compile(
    r"abstract|assert|boolean|break|byte|case|catch|char|class|const|continue|default|do|double|else|enum"
    r"|extends|final|finally|float|for|goto|if|implements|import|instanceof|int|interface|long|native|new"
    r"|package|private|protected|public|return|short|static|strictfp|super|switch|synchronized|this|throw"
    r"|throws|transient|try|void|volatile|while|true|false|null"
)


def refuse_asset_names(paths: Iterable[str]) -> None:
    """Make sure that files can lie in an app's assets under their own names.

    Raises:
        ConfigError: a name that a packager would change, or two that a phone or a Mac cannot tell apart.
    """
    seen: dict[str, str] = {}
    for path in paths:
        if not _SAFE_PATH.fullmatch(path) or path.lower().endswith(_RENAMED):
            raise ConfigError(
                f"the artifact's file {path!r} cannot be an app's asset. Its name may have letters, digits, '.', '_' "
                "and '-', no folder may begin with '.' or '_'; export the model again with plainer names."
            )
        other = seen.setdefault(path.lower(), path)
        if other != path:
            raise ConfigError(f"the artifact's files '{other}' and '{path}' differ in capitals only. Rename one.")


def refuse_package(name: str) -> str:
    """A Java package name such as com.example.app, or a `ValueError` that says why not."""
    parts = name.split(".")
    is_plain = all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", part) for part in parts)
    if len(parts) < 2 or not is_plain or len(name) > 150:
        raise ValueError("must be letters, digits and '_' in at least two parts, such as com.example.app")
    if words := [part for part in parts if _JAVA_WORDS.fullmatch(part)]:
        raise ValueError(f"'{words[0]}' is a word of the Java language")
    return name


def refuse_module(name: str) -> str:
    """A name for a Gradle module, or a `ValueError` that says why not."""
    is_plain = re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) and not _JAVA_WORDS.fullmatch(name)
    if not is_plain or _OURS.fullmatch(name):
        raise ValueError(
            "must be a-z, 0-9 and '_', begin with a letter, and be neither a word of Java nor a module of the package: "
            "sample, edgedistill..., ..._pack"
        )
    return name


def java_text(text: str) -> str:
    """What stands between the quotes of a Java string, in ASCII."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = [int.from_bytes(units[n : n + 2], "big") for n in range(0, len(units), 2)]
    return "".join(map(_java_unit, codes))


def _java_unit(code: int) -> str:
    # A line end or a quote as \\uXXXX would be read before the string is: they have escapes of their own.
    if code in (0x22, 0x5C):
        return "\\" + chr(code)
    if 0x20 <= code < 0x7F:
        return chr(code)
    return f"\\{code:03o}" if code < 0x80 else f"\\u{code:04x}"


def java_constants(names: Iterable[str]) -> dict[str, str]:
    """Names by a constant's name for each, in order: POSITIVE for positive; an empty or second one is numbered."""
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        plain = re.sub(r"[^A-Z0-9]+", "_", name.upper().encode("ascii", "ignore").decode()).strip("_")[:60]
        constant = plain if plain and not plain[0].isdigit() else f"LABEL_{number}_{plain}".rstrip("_")
        found[constant if constant not in found else f"{constant}_{number}"] = name
    return found


def android_string(text: str) -> str:
    """The text as the content of a <string>: escaped for XML, and for what Android reads in it besides."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    plain = plain.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    return escape("\\" + plain if plain[:1] in ("@", "?") else plain)
