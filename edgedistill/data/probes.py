r"""Texts every artifact is tried on, with or without a dataset: ordinary ones, and ones that break things.

All of them were written for this project. `ADVERSARIAL` holds what a phone's text field really sends:
nothing at all, one character, a pasted article, accents, scripts the vocabulary never saw, emoji, control
characters, half a surrogate pair. Characters that cannot be seen are written as escapes.
"""

from __future__ import annotations

PLAIN: tuple[str, ...] = (
    "The kettle clicked off just as the phone began to ring.",
    "A quiet, beautifully acted film that trusts its audience.",
    "I waited forty minutes for a cold sandwich and an apology.",
    "Wake me at half past six tomorrow morning.",
    "Is there a pharmacy near the station that stays open late?",
    "Turn the living room lights down to thirty percent.",
    "The second half drags, but the ending earns every minute of it.",
    "She sold the boat in spring and never spoke of the sea again.",
    "Please move my dentist appointment to Thursday afternoon.",
    "Nothing about this sequel explains why anyone wanted it made.",
    "Rain is expected in the north, with sunny spells elsewhere.",
    "How many grams are there in three cups of flour?",
    "The battery lasts all day and the screen is easy to read outdoors.",
    "He apologised twice, which was once more than she needed.",
    "Play something calm while I cook.",
    "Their customer service never answered a single message.",
    "The committee approved the budget by nine votes to four.",
    "What a waste of a wonderful cast.",
    "Add oat milk, rice and two lemons to the shopping list.",
    "The museum opens at ten and closes at five except on Mondays.",
    "My flight was delayed, then cancelled, then somehow boarding.",
    "An honest, funny and surprisingly tender look at growing old.",
    "Send Priya a message saying I am running ten minutes late.",
    "The bridge was finished two years late and well over budget.",
    "Could you translate this menu into Portuguese?",
    "It is not the worst book I have read this year, but it is close.",
    "The engine starts on the first try even in deep winter.",
    "Remind me to water the tomatoes every other evening.",
    "Who wrote the song that was playing in the cafe?",
    "Scientists measured the depth of the lake with a weighted rope.",
    "The jokes land, the songs stick, and the children were delighted.",
    "I would not recommend this hotel to my worst enemy.",
    "Set a timer for eleven minutes.",
    "The old map showed a village where the reservoir is now.",
    "Transfer fifty euros from savings to my current account.",
    "It looks expensive, feels cheap, and broke within a week.",
    "The baker gave the last loaf to the boy who had only coins.",
    "How do I get to the botanical garden without a car?",
    "A clumsy script wastes an interesting idea.",
    "Share prices fell slightly after the announcement.",
    "Is it going to snow in the mountains this weekend?",
    "Against all expectations, the remake is better than the original.",
    "The nurse explained the results slowly and kindly.",
    "Cancel everything on my calendar after four o'clock.",
    "Trees that grow near the coast lean away from the wind.",
    "The plot makes no sense and the dialogue makes even less.",
    "Call the restaurant and ask whether they have a table for six.",
    "Every scene is a postcard and every line is a cliche.",
)
"""Ordinary sentences: reviews, requests to an assistant, news, questions."""

_PARAGRAPH = (
    "The ferry left before sunrise, carrying letters, two goats and a piano that nobody had ordered. "
    "By noon the fog had lifted, the goats were asleep, and the captain was playing the piano badly. "
)

ADVERSARIAL: dict[str, str] = {
    "empty": "",
    "only_spaces": "   \t \n  ",
    "one_character": "a",
    "one_token": "yes",
    "one_unknown_character": "\u16a0",
    "only_punctuation": "?!... --- ;;; (((",
    "numbers": "3.14159 -2e10 1,000,000 007 1/3 50% \u00bd \u00b2",
    "long": _PARAGRAPH * 24,
    "long_without_spaces": "ab" * 700,
    "long_run_of_one_character": "o" * 120,
    "accents": "Le caf\u00e9 na\u00eff a d\u00e9j\u00e0 servi une cr\u00e8me br\u00fbl\u00e9e \u00e0 No\u00ebl.",
    "accents_decomposed": "Le cafe\u0301 nai\u0308f, l'hio\u0302pital et la pin\u0303ata.",
    "german_and_turkish": "Stra\u00dfe, Gr\u00f6\u00dfe, \u0130stanbul, \u0131\u015f\u0131k, \u1e9e",
    "cjk": "\u6771\u4eac\u3067\u5bff\u53f8\u3092\u98df\u3079\u307e\u3057\u305f\u3002"
    "\u6211\u5f88\u559c\u6b22\u8fd9\u90e8\u7535\u5f71\u3002 \ud55c\uad6d\uc5b4 \ubb38\uc7a5",
    "cjk_beside_latin": "Tokyo\u6771\u4eac2020\u5e74 is fine\u3002",
    "arabic_and_hebrew": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 "
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "devanagari_and_thai": "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e "
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "cyrillic_and_greek": "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! "
    "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "look_alikes": "p\u0430yp\u0430l is not paypal and \uff26\uff35\uff2c\uff2c\uff37\uff29\uff24\uff34\uff28 "
    "is not ASCII",
    "emoji": "Loved it \U0001f600\U0001f389 but my dog \U0001f436 did not \U0001f612",
    "emoji_joined": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd \u2764\ufe0f",
    "control_characters": "good\x00 and\x07 bad\x1b[31m red\x7f text\x85 here",
    "zero_width": "in\u200bvis\u200cib\u200dle \ufeffjoiners\u2060 and soft\u00adhyphens",
    "odd_spaces": "thin\u2009no\u00a0break\u3000ideographic\u2028line\u2029paragraph",
    "right_to_left_marks": "abc \u202edef\u202c ghi \u200fjkl\u200e",
    "stacked_marks": "z\u0351\u036b\u0343\u036a\u0302a\u034d\u0327l\u0334g\u0321o\u035c text",
    "lone_high_surrogate": "half \ud83d of a smile",
    "lone_low_surrogate": "the other half \ude00 of it",
    "replacement_character": "already \ufffd broken",
    "private_use": "\ue000 \uf8ff \U000f0000",
    "new_lines": "first line\r\nsecond line\n\n\nthird\tcolumn",
    "special_tokens_typed": "[CLS] I typed [SEP] and [MASK] and [PAD] and <s> </s> <unk> myself [UNK]",
    "subword_marks_typed": "##ing ##ly un##believable # # ##",
    "markup": "<b>bold</b> &amp; <script>alert('hi')</script>",
    "address_and_path": "https://example.org/a?b=c&d=%20e mail@example.org C:\\Temp\\x ../../y",
    "json": '{"text": "nested", "n": [1, 2, {"x": null}]}',
    "all_capitals": "THIS IS THE BEST DAY OF MY LIFE AND I AM SHOUTING ABOUT IT",
    "mixed_case": "tHiS iS hArD tO rEaD",
    "apostrophes": "don't won't it's y'all'd've rock \u2019n\u2019 roll \u2018quoted\u2019 \u201ctoo\u201d",
    "typos": "i realy luv ths moovie its teh bestt evr",
    "repeated_word": "very " * 60 + "good",
}
"""Text that breaks tokenizers, masks and quantized graphs, by name."""

PAIRS: tuple[tuple[str, str], ...] = (
    ("The concert starts at eight.", "The show begins at eight in the evening."),
    ("A man is slicing an onion in a kitchen.", "Someone is cutting vegetables."),
    ("Prices rose sharply in March.", "In March, prices fell."),
    ("Where was the treaty signed?", "The treaty was signed in a small town near the border in late autumn."),
    ("How tall is the lighthouse?", "Built of granite, the lighthouse is thirty-one metres tall and still in use."),
    ("She plays the cello.", "Two dogs are running along the beach."),
    ("The company hired two hundred people.", "Two hundred people were hired by the company."),
    ("Can I park here overnight?", "Is overnight parking allowed here?"),
    ("All the birds had left by winter.", "Some birds stayed through the winter."),
    ("Who repaired the clock?", "The clock, silent for years, was repaired by a retired watchmaker and his niece."),
    ("The soup is too salty.", "There is too much salt in the soup."),
    ("He lost the race by a second.", "He won the race."),
)
"""Pairs: paraphrases, contradictions, unrelated sentences, and questions with a context."""
