"""Artifacts that hold nothing but a tokenizer, and the kit's languages as commands that ask it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgedistill import files
from edgedistill.apps import _tokenizer
from edgedistill.apps._texts import BLOCKS, Case
from edgedistill.artifacts import Manifest, TokenizerSpec, read_manifest
from tests.made import write_artifact

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOOLS = {"java": ("javac", "java"), "javascript": ("node",), "cpp": ("g++",)}
VARIANTS: dict[str, dict[str, Any]] = {
    "uncased": {"lowercase": True, "strip_accents": None},
    "uncased with accents": {"lowercase": True, "strip_accents": False},
    "cased": {"lowercase": False, "strip_accents": None},
    "cased without accents": {"lowercase": False, "strip_accents": True},
    "ideographs together": {"lowercase": True, "strip_accents": None, "handle_chinese_chars": False},
    "word list": {"kind": "wordlist", "lowercase": True, "strip_accents": False, "handle_chinese_chars": False},
}


def artifact_of(folder: Path, kind: str = "wordpiece", has_letters: bool = True, **rules: Any) -> tuple[Path, Manifest]:
    """An artifact with a tokenizer that knows nearly every letter, so that another normalisation is another number."""
    letters = _letters() if has_letters else []
    words = [*SPECIALS, *letters, *(f"##{letter}" for letter in letters)]
    words += ["film", "good", "don", "##ing", "caf\u00e9", "cafe", "\u4f60\u597d", "a\u0301b", "\ufb01ne"]
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    algorithm = models.WordPiece if kind == "wordpiece" else models.WordLevel
    tokenizer = Tokenizer(algorithm(numbers, unk_token="[UNK]"))
    rules = {"handle_chinese_chars": True, **rules}
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, **rules)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens(list(SPECIALS))
    write_artifact(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in numbers), encoding="utf-8")
    spec = TokenizerSpec.model_validate(
        {
            "kind": kind, "file": "vocab.txt", "sha256": files.sha256_of(folder / "tokenizer.json"),
            "vocab_size": len(numbers), "max_length": 128, **rules,
            "special_ids": {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4},
        }
    )  # fmt: skip
    return folder, read_manifest(folder).model_copy(update={"tokenizer": spec})


def _letters() -> list[str]:
    skipped = ((0x3400, 0x9FFF), (0xAC00, 0xD7FF), (0xE000, 0xF8FF), (0x20000, 0x10FFFF), (0x10000, 0x1D3FF))
    points = (point for first, last in BLOCKS for point in range(max(first, 0x21), last + 1))
    kept = (p for p in points if not any(first <= p <= last for first, last in skipped) and chr(p) not in "\x85\xa0")
    return [chr(point) for point in kept]


def write_cases(folder: Path, artifact: Path, manifest: Manifest, cases: Iterable[Case]) -> Path:
    """A folder for the kit's checks: its three files and the goldens of these cases."""
    _tokenizer.write_kit(artifact, manifest, folder)
    tokenizer = Tokenizer.from_file(str(artifact / "tokenizer.json"))
    _tokenizer.write_goldens(tokenizer, cases, folder / _tokenizer.GOLDENS)
    return folder


def compiled(language: str, folder: Path) -> list[str]:
    """The language's check as a command, to be followed by such a folder."""
    _tokenizer.copy_sources(language, folder)  # type: ignore[arg-type]
    if language == "java":
        sources = [str(path) for path in folder.rglob("*.java")]
        # --release 8: what an old Android's desugaring takes
        _run(["javac", "-Xlint:all,-options", "-Werror", "--release", "8", "-d", str(folder / "out"), *sources])
        return ["java", "-Xshare:auto", "-XX:+UseSerialGC", "-cp", str(folder / "out"), "edgedistill.tokenizer.Goldens"]
    if language == "cpp":
        sources = [str(path) for path in folder.glob("*.cpp")]
        flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        _run(["g++", *flags, "-o", str(folder / "check"), *sources])
        return [str(folder / "check")]
    files.write_json(folder / "package.json", {"type": "module"})
    return [shutil.which("node") or "node", str(folder / "check.mjs")]


def differing(command: list[str], folder: Path, seconds: float = 600) -> tuple[int, list[str]]:
    """How many goldens were asked, and those that differ, as they are written."""
    asked, *numbers = _run([*command, str(folder)], seconds).split()
    lines = (folder / _tokenizer.GOLDENS).read_text(encoding="ascii").split("\n")
    return int(asked), [lines[int(number) - 1] for number in numbers]


def _run(command: list[str], seconds: float = 600) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
