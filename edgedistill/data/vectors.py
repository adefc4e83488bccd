"""Word vectors from a file (GloVe's text, word2vec's text or binary), and the word-level tokenizer over their words."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.readers import text_lines
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MAX_WORD_BYTES = 1000
_MAX_WIDTH = 4096
_Row = tuple[str, NDArray[np.float32]]


@dataclass(frozen=True)
class WordTable:
    """Vectors of the words a word-level tokenizer knows.

    Attributes:
        words: W words, the most frequent first, as files have them; each is one token of the tokenizer.
        vectors: (W, E) float32.
        is_lowercase: whether no word has a capital letter: text is then read in small letters.
    """

    words: tuple[str, ...]
    vectors: NDArray[np.float32]
    is_lowercase: bool


def read_vectors(path: Path, most: int) -> WordTable:
    """Read the first words of a file.

    Words that text is never split into (`New_York`, `don't`) are left out: their vectors would never be looked up.

    Args:
        path: word2vec's binary format where the name ends in .bin or .bin.gz; else a word and its numbers on each
            line, with or without word2vec's header line, gzipped or not.
        most: words to keep.

    Raises:
        DataError: it cannot be read; the message names the file and the line (in a binary file the word).
    """
    is_binary = path.name.removesuffix(".gz").endswith(".bin")
    splitter = _splitter()
    found: dict[str, NDArray[np.float32]] = {}
    for word, vector in _binary_rows(path) if is_binary else _text_rows(path):
        if word not in found and word not in SPECIALS and _is_one_token(splitter, word):
            found[word] = vector
        if len(found) == most:
            break
    if not found:
        raise DataError(f"'{path}' holds no word vectors. Give a GloVe or word2vec file.")
    words = tuple(found)
    return WordTable(words, np.stack(list(found.values())), all(word == word.lower() for word in words))


def word_tokenizer(table: WordTable) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words: split at blanks and punctuation, everything else one [UNK].

    Texts are laid out as BERT's are, [CLS] a [SEP] b [SEP] with types, so that whatever reads those reads these.
    """
    from tokenizers import Tokenizer, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate((*SPECIALS, *table.words))}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=table.is_lowercase, strip_accents=False, handle_chinese_chars=False
    )
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, numbers[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = {f"{name.strip('[]').lower()}_token": name for name in SPECIALS}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names)


def with_specials(table: WordTable, spread: float = 0.25) -> NDArray[np.float32]:
    """(5 + W, E) vectors of `word_tokenizer`'s entries.

    Padding is 0, an unknown word the mean of all words; the others are random, always the same, within `spread`.
    """
    width = table.vectors.shape[1]
    special = np.random.default_rng(0).uniform(-spread, spread, (len(SPECIALS), width)).astype(np.float32)
    special[0], special[1] = 0.0, table.vectors.mean(axis=0)
    return np.concatenate([special, table.vectors])


def _splitter() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.BertPreTokenizer()


def _is_one_token(splitter: Any, word: str) -> bool:
    return [piece for piece, _ in splitter.pre_tokenize_str(word)] == [word]


def _text_rows(path: Path) -> Iterator[_Row]:
    width: int | None = None
    for line, text in text_lines(path):
        fields = text.rstrip().split(" ") if "\t" not in text else text.rstrip().split()
        if line == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
            width = _width(path, fields[1])
            continue
        if not text.strip():
            continue
        width = width or len(fields) - 1
        row = _text_row(path, line, fields, width)
        if row is not None:
            yield row


def _text_row(path: Path, line: int, fields: list[str], width: int) -> _Row | None:
    """A word and its numbers; none for a word with blanks in it, which some files have and no text is split into."""
    if len(fields) != width + 1:
        if len(fields) > width + 1 and not _are_numbers(fields[1:]):
            return None
        raise DataError(
            f"{path}, line {line}: {len(fields) - 1} numbers after {fields[0]!r:.40}, those before it have {width}. "
            "Every word needs a vector of the same width."
        )
    try:
        with np.errstate(over="ignore"):  # becomes infinity, which is refused
            vector = np.array(fields[1:], dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}. Each line is a word and its numbers, with blanks.") from error
    if not width or not np.isfinite(vector).all():
        what = "holds NaN or infinity" if width else "has no numbers"
        raise DataError(f"{path}, line {line}: the vector of {fields[0]!r:.40} {what}. Give a GloVe or word2vec file.")
    return fields[0], vector


def _are_numbers(fields: list[str]) -> bool:
    try:
        return all(math.isfinite(float(field)) for field in fields)
    except ValueError:
        return False


def _binary_rows(path: Path) -> Iterator[_Row]:
    """word2vec's binary format: a line with count and width, then each word, a blank, its numbers as float32."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            header = file.readline(_MAX_WORD_BYTES).split()
            if len(header) != 2 or not all(field.isdigit() for field in header):
                raise DataError(
                    f"{path}, line 1: no count and width of word vectors. Is it word2vec's binary format? A text "
                    "file's name must not end in .bin."
                )
            count, width = int(header[0]), _width(path, header[1].decode())
            for number in range(1, count + 1):
                yield _binary_row(path, cast(BinaryIO, file), number, count, width)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}, word {number}: not a whole gzip file ({error}). Copy or pack it again.") from error
    except FileNotFoundError as error:
        raise DataError(f"no file '{path}'. Check the path.") from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}.") from error


def _binary_row(path: Path, file: BinaryIO, number: int, count: int, width: int) -> _Row:
    word = bytearray()
    while (byte := file.read(1)) != b" ":
        if not byte or len(word) > _MAX_WORD_BYTES:
            what = "the file ends" if not byte else "no word ends"
            raise DataError(f"{path}, word {number} of {count}: {what} there. Copy or download it again.")
        word += byte
    raw = file.read(4 * width)
    if len(raw) < 4 * width:
        raise DataError(f"{path}, word {number} of {count}: cut short after {len(raw)} bytes. Copy it again.")
    vector = np.frombuffer(raw, dtype="<f4")
    if not np.isfinite(vector).all():
        raise DataError(f"{path}, word {number} of {count}: NaN or infinity. Is {width} its width?")
    try:
        return word.lstrip(b"\n").decode("utf-8"), vector
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, word {number} of {count}: not UTF-8 ({bytes(word)!r:.60}). Is {width} its width?"
        ) from error


def _width(path: Path, text: str) -> int:
    width = int(text)
    if not 0 < width <= _MAX_WIDTH:
        raise DataError(f"{path}, line 1: vectors of {width} numbers; 1 to {_MAX_WIDTH} can be. Is it a vector file?")
    return width
