"""The tokenizer kit: one specification and one character table, read by Java, Swift, JavaScript and C++ alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from edgedistill import files
from edgedistill.apps._texts import Case
from edgedistill.apps._unicode import TABLE
from edgedistill.artifacts import Manifest
from edgedistill.data.encoding import clean, load_tokenizer
from edgedistill.errors import ConfigError

Language = Literal["java", "swift", "javascript", "cpp"]
SPECIFICATION, VOCABULARY, CHARACTERS, GOLDENS = "tokenizer.spec", "vocab.txt", "unicode.txt", "tokenizer-goldens.tsv"
_SHORTEST = 8


def write_kit(artifact: Path, manifest: Manifest, folder: Path) -> None:
    """Write what the tokenizers of the kit read: tokenizer.spec, vocab.txt and unicode.txt.

    Raises:
        ConfigError: a tokenizer that the kit cannot rebuild.
    """
    text = specification(artifact, manifest)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / SPECIFICATION, text)
    shutil.copyfile(artifact / manifest.tokenizer.file, folder / VOCABULARY)
    shutil.copyfile(TABLE, folder / CHARACTERS)


def sources(language: Language) -> tuple[Path, ...]:
    """The kit's files of one language."""
    folder = TABLE.parent / language
    return tuple(path for path in sorted(folder.rglob("*")) if path.is_file())


def copy_sources(language: Language, folder: Path) -> None:
    """Copy the kit's files of one language into `folder`, their folders kept."""
    for path in sources(language):
        destination = folder / path.relative_to(TABLE.parent / language)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)


def specification(artifact: Path, manifest: Manifest) -> str:
    """The content of tokenizer.spec: what of the artifact's tokenizer the kit has to know, a line each.

    Raises:
        ConfigError: a tokenizer that the kit cannot rebuild, with what to do instead.
    """
    spec = manifest.tokenizer
    if spec.kind not in ("wordpiece", "wordlist"):
        raise ConfigError(
            f"the tokenizer is of the kind '{spec.kind}', and the kit for apps has WordPiece and word lists. Distil "
            "into a student with BERT's vocabulary; or use --for files, and in your app Hugging Face's tokenizers "
            "library, which reads the bundle's tokenizer.json."
        )
    stored = json.loads((artifact / "tokenizer.json").read_text(encoding="utf-8"))
    _refuse_other_rules(stored, load_tokenizer(artifact), spec.special_ids)
    model = stored["model"]
    strips = spec.lowercase if spec.strip_accents is None else spec.strip_accents
    unknown = model["vocab"][model["unk_token"]]
    lines = {
        "kind": spec.kind,
        "lowercase": str(spec.lowercase).lower(),
        "strip_accents": str(strips).lower(),
        "split_ideographs": str(spec.handle_chinese_chars).lower(),
        "prefix": model.get("continuing_subword_prefix", "##"),
        "max_characters": model.get("max_input_chars_per_word", 100),
        "unknown": unknown,
        **{name: spec.special_ids[name] for name in ("cls", "sep", "pad")},
        "max_length": spec.max_length,
        **{f"special.{token['id']}": token["content"] for token in stored["added_tokens"]},
    }
    return "edgedistill-tokenizer 1\n" + "".join(f"{name}={value}\n" for name, value in lines.items())


def _refuse_other_rules(stored: dict[str, Any], tokenizer: Tokenizer, special: dict[str, int]) -> None:
    normalizer, splitter = stored.get("normalizer") or {}, stored.get("pre_tokenizer") or {}
    told = {
        f"its normalizer is {normalizer.get('type')}, not BertNormalizer": normalizer.get("type") == "BertNormalizer",
        "its normalizer does not clean text": normalizer.get("clean_text", False),
        f"it splits by {splitter.get('type')}, not BertPreTokenizer": splitter.get("type") == "BertPreTokenizer",
        "it has no [CLS], [SEP] or [PAD]": {"cls", "sep", "pad"} <= set(special),
    }
    for token in stored["added_tokens"]:
        is_plain = not any(token[name] for name in ("single_word", "lstrip", "rstrip", "normalized"))
        told[f"its added token {token['content']!r} is not matched as it is written"] = is_plain
        told[f"its added token {token['content']!r} holds a line break"] = "\n" not in token["content"]
    wrong = [what for what, is_fine in told.items() if not is_fine]
    if not wrong:
        tokenizer.no_truncation()
        pair = tokenizer.encode("", "")
        if (pair.ids, pair.type_ids) != ([special["cls"], special["sep"], special["sep"]], [0, 0, 1]):
            wrong = ["it does not lay out a pair as [CLS] a [SEP] b [SEP]"]
    if wrong:
        raise ConfigError(
            f"the kit for apps cannot rebuild this tokenizer: {'; '.join(wrong)}. Use --for files, and Hugging Face's "
            "tokenizers library in your app."
        )


def write_goldens(tokenizer: Tokenizer, cases: Iterable[Case], path: Path) -> int:
    r"""Write what the Hugging Face tokenizer says to each case, a line each, and say how many there are.

    Columns: the text, the second one of a pair behind a `+` (`-`: none), the room in tokens, then ids, types and
    offsets (`first:last`, in UTF-16 units of the token's text). Whatever is not printable ASCII is written `\uXXXX`.
    """
    lines = [_golden(tokenizer, case) for case in cases]
    files.write_text(path, "".join(lines))
    return len(lines)


def _golden(tokenizer: Tokenizer, case: Case) -> str:
    text, pair, length = case
    tokenizer.enable_truncation(length, strategy="longest_first")
    tokenizer.no_padding()
    found = tokenizer.encode(clean(text)) if pair is None else tokenizer.encode(clean(text), clean(pair))
    units = [_units(clean(each)) for each in (text, pair or "")]
    spans = (
        "0:0" if source is None else f"{units[source][first]}:{units[source][last]}"
        for source, (first, last) in zip(found.sequence_ids, found.offsets, strict=True)
    )
    columns = (
        _escaped(text),
        "-" if pair is None else "+" + _escaped(pair),
        str(length),
        " ".join(map(str, found.ids)),
        " ".join(map(str, found.type_ids)),
        " ".join(spans),
    )
    return "\t".join(columns) + "\n"


def _units(text: str) -> Sequence[int]:
    """UTF-16 units before each character, and before the end."""
    places = [0]
    for letter in text:
        places.append(places[-1] + (2 if ord(letter) > 0xFFFF else 1))
    return places


def _escaped(text: str) -> str:
    raw = text.encode("utf-16-be", "surrogatepass")
    numbers = (int.from_bytes(raw[place : place + 2], "big") for place in range(0, len(raw), 2))
    return "".join(chr(one) if 0x20 <= one < 0x7F and one != 0x5C else f"\\u{one:04x}" for one in numbers)
