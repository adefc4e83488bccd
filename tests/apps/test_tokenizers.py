"""The tokenizer kit: the same numbers, types and offsets as the Hugging Face tokenizer, in every language."""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path

import pytest

from edgedistill.apps import _tokenizer, _unicode
from edgedistill.apps._texts import golden_cases, random_cases
from edgedistill.errors import ConfigError
from tests.apps.kits import TOOLS, VARIANTS, artifact_of, compiled, differing, write_cases
from tests.made import write_artifact
from tests.tools import needs

LANGUAGES = [pytest.param(name, marks=needs(*tools), id=name) for name, tools in TOOLS.items()]
FUZZED = 100_000
SECONDS = 900
"""Time budget of the fuzz: of writing what the Hugging Face tokenizer says, and of each language's answers."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two variants with every fixed golden each."""
    places = {}
    for name in ("uncased", "cased without accents"):
        folder = tmp_path_factory.mktemp("kit")
        places[name] = write_cases(folder / "kit", *artifact_of(folder / "artifact", **VARIANTS[name]), golden_cases(0))
    return places


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_golden_is_the_same(language: str, made: dict[str, Path], tmp_path: Path) -> None:
    command = compiled(language, tmp_path)
    for name, folder in made.items():
        asked, wrong = differing(command, folder)
        assert asked > 2000
        assert not wrong, f"{name}: {len(wrong)} of {asked}, first {wrong[0]}"


@pytest.mark.slow
@needs("node")
@pytest.mark.parametrize(("line", "other"), [("lowercase=true", "lowercase=false"), ("unknown=1", "unknown=4")])
def test_another_rule_is_noticed(line: str, other: str, made: dict[str, Path], tmp_path: Path) -> None:
    specification = made["uncased"] / _tokenizer.SPECIFICATION
    before = specification.read_text(encoding="utf-8")
    assert line in before
    specification.write_text(before.replace(line, other), encoding="utf-8")
    try:
        _, wrong = differing(compiled("javascript", tmp_path), made["uncased"])
        assert wrong
    finally:
        specification.write_text(before, encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_random_texts_are_the_same(variant: str, tmp_path: Path) -> None:
    """At least 100,000 texts of the commonest kind and 20,000 of each other one, in every language that is here."""
    count, begun = FUZZED if variant == "uncased" else FUZZED // 5, time.monotonic()
    seed = list(VARIANTS).index(variant)
    cases = islice(random_cases(seed=seed + 1), count)
    folder = write_cases(tmp_path / "kit", *artifact_of(tmp_path / "artifact", **VARIANTS[variant]), cases)
    assert time.monotonic() - begun < SECONDS
    for language, tools in TOOLS.items():
        if needs(*tools).args[0]:
            continue
        asked, wrong = differing(compiled(language, tmp_path / language), folder, SECONDS)
        assert asked == count
        assert not wrong, f"{language}, {variant}: {len(wrong)} of {asked}, first {wrong[0]}"


@pytest.mark.long
def test_the_table_is_what_the_library_does() -> None:
    from tokenizers import __version__

    stored = _unicode.TABLE.read_text(encoding="utf-8")
    if f"tokenizers-{__version__}\n" not in stored:
        pytest.skip(f"the table was made with {stored.splitlines()[0]}, tokenizers {__version__} is installed")
    assert _unicode.table() == stored


def test_a_golden_is_written_in_ascii_with_places_in_utf16(tmp_path: Path) -> None:
    artifact, manifest = artifact_of(tmp_path / "artifact", has_letters=False, **VARIANTS["uncased"])
    cases = [("\U0001f600caf\u00e9\\\t", None, 8), ("a", "", 8), ("\ud800b", "c", 8)]
    folder = write_cases(tmp_path / "kit", artifact, manifest, cases)
    lines = (folder / _tokenizer.GOLDENS).read_text(encoding="ascii").split("\n")
    first, second, third = (line.split("\t") for line in lines[:3])
    assert first[0] == "\\ud83d\\ude00caf\\u00e9\\u005c\\u0009"
    assert first[5].split()[1].startswith("0:2") or first[5].split()[1] == "0:6", "an emoji takes two places"
    assert (second[1], second[4]) == ("+", "0 0 0 1")
    assert third[5] == "0:0 1:2 0:0 0:1 0:0"


def test_the_cases_hold_what_they_promise() -> None:
    cases = golden_cases(3000)
    assert len(cases) == 3000
    assert cases == golden_cases(3000), "the same every time"
    texts = "".join(text + (pair or "") for text, pair, _ in cases)
    for letter in "\xa0\u200b\u200d\ufe0f\u0301\u4f60\uac01\U0001f468\ud83d\u0130\u3000\x00":
        assert letter in texts
    assert {length for _, pair, length in cases if pair is not None} >= {8, 9, 10}


def changed(folder: Path, **parts: object) -> Path:
    path = folder / "tokenizer.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**stored, **parts}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"normalizer": {"type": "NFC"}}, "its normalizer is NFC, not BertNormalizer"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "it splits by Whitespace, not BertPreTokenizer"),
        ({"post_processor": None}, r"it does not lay out a pair as \[CLS\] a \[SEP\] b \[SEP\]"),
    ],
)
def test_what_the_kit_cannot_rebuild_is_refused(parts: dict[str, object], message: str, tmp_path: Path) -> None:
    artifact, manifest = artifact_of(tmp_path / "artifact", has_letters=False, **VARIANTS["uncased"])
    with pytest.raises(ConfigError, match=message):
        _tokenizer.specification(changed(artifact, **parts), manifest)


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_another_algorithm_is_refused_with_what_to_use(kind: str, tmp_path: Path) -> None:
    artifact, manifest = artifact_of(tmp_path / "artifact", has_letters=False, **VARIANTS["uncased"])
    other = manifest.model_copy(update={"tokenizer": manifest.tokenizer.model_copy(update={"kind": kind})})
    with pytest.raises(ConfigError, match=f"of the kind '{kind}', and the kit .* use --for files"):
        _tokenizer.specification(artifact, other)


def test_a_tokenizer_without_its_own_rules_is_refused(tmp_path: Path) -> None:
    from edgedistill.artifacts import read_manifest

    folder = write_artifact(tmp_path / "artifact")
    with pytest.raises(ConfigError, match="cannot rebuild this tokenizer"):
        _tokenizer.write_kit(folder, read_manifest(folder), tmp_path / "kit")
