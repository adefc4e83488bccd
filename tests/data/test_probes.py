from pathlib import Path

import pytest

from edgedistill.data import probes
from edgedistill.data.encoding import clean


def test_enough_distinct_plain_texts_and_pairs() -> None:
    assert len(set(probes.PLAIN)) == len(probes.PLAIN) >= 40
    assert len(set(probes.PAIRS)) == len(probes.PAIRS) >= 10


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("empty", lambda text: text == ""),
        ("one_token", lambda text: text.isalpha()),
        ("long", lambda text: len(text.split()) > 600),
        ("accents_decomposed", lambda text: "\u0301" in text),
        ("cjk", lambda text: any("\u4e00" <= c <= "\u9fff" for c in text)),
        ("emoji_joined", lambda text: "\u200d" in text),
        ("control_characters", lambda text: "\x00" in text),
        ("zero_width", lambda text: "\u200b" in text),
        ("lone_high_surrogate", lambda text: "\ud83d" in text),
        ("lone_low_surrogate", lambda text: "\ude00" in text),
    ],
)
def test_adversarial_text_holds_what_its_name_says(name, is_there) -> None:
    assert is_there(probes.ADVERSARIAL[name])


def test_every_adversarial_text_can_be_stored_once_cleaned() -> None:
    for text in probes.ADVERSARIAL.values():
        assert clean(text).encode("utf-8").decode("utf-8") == clean(text)


def test_source_holds_no_invisible_character() -> None:
    source = Path(probes.__file__).read_text(encoding="utf-8")
    assert source.isascii()
