"""A WordPiece vocabulary cut to what a text needs.

A word is split into the longest entries that fit, from its first letter on. So a text all of whose pieces are kept is
split as before, and its tokens are only numbered anew; any other one is split into more and shorter pieces, which the
teacher knows as well. That is why a teacher can be asked about a student's tokens whatever was left out.

Reference: Schuster and Nakajima, 2012 (WordPiece); Devlin et al., 2019 (BERT), section 3.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgedistill.config import Settings
from edgedistill.errors import ConfigError

_CONTINUES = "##"
_BATCH = 1024
Ids = NDArray[np.int64]


class VocabularyConfig(Settings):
    """Which entries of the teacher's vocabulary a student keeps."""

    size: int | None = Field(default=None, gt=0)
    """Most entries, special tokens and characters included; none: as many as `coverage` takes."""
    coverage: float = Field(default=1.0, gt=0, le=1)
    """Share of the text's tokens whose entries are kept, the most frequent first. 1: every entry that occurs, so that
    the text is split just as the teacher splits it."""
    characters: Literal["all", "seen"] = "all"
    """Single characters that are kept in any case, to spell other words with: all of the teacher's, so that no text
    gets an [UNK] that it had not, or those that the text has."""
    text: Path | None = None
    """Further text to count in, .txt[.gz], a paragraph per line, beside the training rows and --corpus. Nothing is
    trained on it."""


def refuse_uncuttable(tokenizer: Any) -> None:
    """Make sure that a tokenizer is a WordPiece one.

    Raises:
        ConfigError: it is not.
    """
    kind = json.loads(tokenizer.backend_tokenizer.to_str())["model"].get("type") or "WordPiece"
    if kind != "WordPiece":
        raise ConfigError(
            f"vocabulary: the tokenizer of '{tokenizer.name_or_path}' is {kind}, and only WordPiece can be cut: merges "
            "and likelihoods hang on entries that would be gone. Leave vocabulary out."
        )
    numbers = set(tokenizer.get_vocab().values())
    if len(numbers) != max(numbers) + 1:
        raise ConfigError(
            f"vocabulary: the ids of '{tokenizer.name_or_path}' have gaps ({len(numbers)} entries, the last id is "
            f"{max(numbers)}), and cannot be cut. Leave vocabulary out."
        )


def counted(rows: Sequence[Any], size: int) -> Ids:
    """How often each entry occurs.

    Args:
        rows: several `data.rows.Rows`; their students' tokens are counted.
        size: V, of the vocabulary.

    Returns:
        (V,) occurrences, special tokens included.
    """
    counts = np.zeros(size, dtype=np.int64)
    for each in rows:
        for batch in each.all(_BATCH):
            real = batch.student.input_ids[batch.student.attention_mask.bool()].numpy()
            counts += np.bincount(real, minlength=size)
    return counts


def chosen(tokenizer: Any, counts: Ids, how: VocabularyConfig) -> Ids:
    """Choose the entries to keep.

    First the special and added tokens, then single characters and what could not be spelt with them, then others by
    how often they occur; of two that occur as often, the one with the lower id.

    Args:
        tokenizer: the whole WordPiece tokenizer.
        counts: (V,) occurrences of each of its entries.
        how: many, and which.

    Returns:
        (N,) int64 ids: special and added tokens first, then the rest, both in the order they had.

    Raises:
        ConfigError: another kind of tokenizer, or a size that is too small or no cut at all.
    """
    refuse_uncuttable(tokenizer)
    names = _names(tokenizer)
    if how.size is not None and how.size >= len(names):
        raise ConfigError(
            f"vocabulary.size: {how.size} entries are no cut, the teacher has {len(names)}. Set it lower, or leave it "
            "out to keep the entries that occur."
        )
    added = np.array(sorted(tokenizer.added_tokens_decoder), dtype=np.int64)
    is_added = np.zeros(len(names), dtype=bool)
    is_added[added] = True
    is_base = _spells(tokenizer, names, is_added, counts, how.characters) & ~is_added
    rest = np.flatnonzero(~is_added & ~is_base & (counts > 0))
    rest = rest[np.lexsort((rest, -counts[rest]))]
    rest = rest[: _enough(counts, is_added, is_base, rest, how.coverage)]
    least = len(added) + int(is_base.sum())
    if how.size is not None:
        if how.size < least:
            raise ConfigError(
                f"vocabulary.size: {how.size} entries cannot hold the {len(added)} special tokens and the "
                f"{least - len(added)} characters that other words are spelt with. Set it to more than {least}"
                + (", or vocabulary.characters=seen." if how.characters == "all" else ".")
            )
        rest = rest[: how.size - least]
    return np.concatenate([added, np.sort(np.concatenate([np.flatnonzero(is_base), rest]))])


def cut(tokenizer: Any, kept: Ids) -> Any:
    """The tokenizer with those entries only, numbered from 0 in that order.

    Args:
        tokenizer: a fast WordPiece tokenizer.
        kept: (N,) ids, its special and added tokens among them.
    """
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory(prefix="edgedistill-vocabulary-") as place:
        folder = Path(place)
        tokenizer.save_pretrained(folder)
        state = _renumbered(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")), kept)
        (folder / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        (folder / "vocab.txt").unlink(missing_ok=True)
        (folder / "added_tokens.json").unlink(missing_ok=True)
        told = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        told.pop("added_tokens_decoder", None)  # by id; tokenizer.json says the same
        (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    found.name_or_path = tokenizer.name_or_path
    return found


def entries_of(tokenizer: Any, whole: Any) -> Ids | None:
    """The ids that a cut tokenizer's entries have in the whole one.

    Returns:
        (N,) int64; none where `tokenizer` is not cut from `whole`, so that the two have nothing in common.
    """
    parts, everything = (json.loads(each.backend_tokenizer.to_str()) for each in (tokenizer, whole))
    if (parts["model"].get("type") or "WordPiece") != "WordPiece" or everything["model"].get("type") != "WordPiece":
        return None
    numbers, own = whole.get_vocab(), _names(tokenizer)
    if any(name not in numbers for name in own):
        return None
    kept = np.array([numbers[name] for name in own], dtype=np.int64)
    return kept if _comparable(_renumbered(everything, kept)) == _comparable(parts) else None


def share_kept(counts: Ids, kept: Ids, tokenizer: Any) -> float:
    """Share of a text's tokens, special ones left out, whose entries are kept.

    Args:
        counts: (V,) occurrences of the whole vocabulary's entries.
        kept: (N,) ids.
        tokenizer: the whole one.
    """
    ordinary = counts.copy()
    ordinary[sorted(tokenizer.added_tokens_decoder)] = 0
    return float(ordinary[kept].sum() / max(ordinary.sum(), 1))


def _names(tokenizer: Any) -> list[str]:
    """Entries in the order of their ids, which have no gaps."""
    return [name for name, _ in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])]


def _spells(
    tokenizer: Any, names: Sequence[str], is_added: NDArray[np.bool_], counts: Ids, characters: str
) -> NDArray[np.bool_]:
    """(V,) entries that words are spelt with: single characters, and what these cannot spell."""
    letters = [name.removeprefix(_CONTINUES) for name in names]
    is_wanted = np.ones(len(names), dtype=bool)
    if characters == "seen":
        occurs = (counts > 0) & ~is_added
        seen = {letter for number in np.flatnonzero(occurs) for letter in letters[number]}
        is_wanted = np.array([occurs[number] or set(each) <= seen for number, each in enumerate(letters)])
    is_single = is_wanted & np.array([len(each) == 1 for each in letters])
    singles = {name for name, is_one in zip(names, is_single, strict=True) if is_one}
    is_odd = np.array([not _is_spelt(name, singles) and _can_occur(tokenizer, name) for name in names])
    spells: NDArray[np.bool_] = is_single | (is_wanted & is_odd)
    return spells


def _can_occur(tokenizer: Any, name: str) -> bool:
    """Whether text is ever split so that the entry could be part of a word; `[unused1]` is three words to BERT's."""
    splitter = tokenizer.backend_tokenizer.pre_tokenizer
    return splitter is None or len(splitter.pre_tokenize_str(name.removeprefix(_CONTINUES))) == 1


def _is_spelt(name: str, singles: set[str]) -> bool:
    inner = name.removeprefix(_CONTINUES)
    is_begun = name.startswith(_CONTINUES) or inner[:1] in singles
    rest = inner if name.startswith(_CONTINUES) else inner[1:]
    return is_begun and all(f"{_CONTINUES}{letter}" in singles for letter in rest)


def _enough(counts: Ids, is_added: NDArray[np.bool_], is_base: NDArray[np.bool_], rest: Ids, coverage: float) -> int:
    """How many of `rest`, the most frequent first, together with the base cover that share."""
    total = int(counts[~is_added].sum())
    covered = int(counts[is_base].sum()) + np.concatenate([[0], np.cumsum(counts[rest])])
    return int(np.argmax(covered >= coverage * total - 1e-9 * total))


def _renumbered(state: dict[str, Any], kept: Ids) -> dict[str, Any]:
    """A tokenizer.json with those entries only: in the vocabulary, the added tokens and what frames a text."""
    numbers = state["model"]["vocab"] | {token["content"]: token["id"] for token in state["added_tokens"]}
    names = {number: name for name, number in numbers.items()}
    new = {int(old): number for number, old in enumerate(kept) if int(old) in names}
    vocabulary = {names[old]: number for old, number in new.items()}
    added = [{**token, "id": new[token["id"]]} for token in state["added_tokens"] if token["id"] in new]
    model = {**state["model"], "vocab": vocabulary}
    framing = _reframed(state["post_processor"], vocabulary)
    return {**state, "model": model, "added_tokens": added, "post_processor": framing}


def _reframed(processor: Mapping[str, Any] | None, vocabulary: Mapping[str, int]) -> Any:
    """[CLS] and [SEP] under their new ids, as both of the processors that BERTs have write them."""
    if processor is None:
        return None
    if processor["type"] == "TemplateProcessing":
        tokens = {
            name: {**token, "ids": [vocabulary[each] for each in token["tokens"]]}
            for name, token in processor["special_tokens"].items()
        }
        return {**processor, "special_tokens": tokens}
    return {
        key: [value[0], vocabulary[value[0]]] if key in {"cls", "sep"} else value for key, value in processor.items()
    }


def _comparable(state: Mapping[str, Any]) -> dict[str, Any]:
    """Without the cutting and padding that the last call left in it."""
    added = sorted(state["added_tokens"], key=lambda token: int(token["id"]))
    return {**state, "truncation": None, "padding": None, "added_tokens": added}
