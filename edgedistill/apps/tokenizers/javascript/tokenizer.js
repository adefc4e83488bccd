/**
 * BERT's WordPiece, or a list of whole words: the same numbers as the Hugging Face tokenizer the model was trained with.
 * Has no dependencies; runs in browsers and in Node.
 */

import { Unicode } from "./unicode.js";

const BLANK = 0x20;

export class Tokenizer {
  #spec = new Map();
  #special = new Map();
  #vocabulary = new Map();
  #unicode;

  /**
   * @param {string} specification - the content of tokenizer.spec
   * @param {string} vocabulary - the content of vocab.txt
   * @param {string} unicode - the content of unicode.txt
   * @throws {Error} when a file is of another version
   */
  constructor(specification, vocabulary, unicode) {
    const [version, ...lines] = specification.split("\n");
    if (version !== "edgedistill-tokenizer 1") throw new Error(`tokenizer.spec is of another version: ${version}`);
    for (const line of lines.filter((each) => each !== "")) {
      const equals = line.indexOf("=");
      const [key, value] = [line.slice(0, equals), line.slice(equals + 1)];
      if (key.startsWith("special.")) this.#special.set(value, Number(key.slice(8)));
      else this.#spec.set(key, value);
    }
    const entries = vocabulary.split("\n");
    if (entries.at(-1) === "") entries.pop();
    entries.forEach((entry, id) => this.#vocabulary.set(entry, id));
    this.#unicode = new Unicode(unicode);
  }

  /** What shorter texts are filled up with. */
  get padId() {
    return this.#number("pad");
  }

  /** Most tokens the model takes. */
  get maxLength() {
    return this.#number("max_length");
  }

  /**
   * One text or a pair, cut to `length` tokens, the longer text first.
   *
   * @param {string} text - lone surrogates count as U+FFFD, which is left out
   * @param {?string} pair - the second text; null for none
   * @param {number} length - most tokens, special ones included
   * @returns {{ids: number[], typeIds: number[], sources: number[], starts: number[], ends: number[]}} for every
   *   token its number; 0 or 1 for the first or second text; the same but -1 for added tokens; and its place in its
   *   text in UTF-16 units, as `slice` takes them
   * @throws {RangeError} when no text fits
   */
  encode(text, pair = null, length = this.maxLength) {
    const first = this.#tokens(text);
    const second = pair === null ? [] : this.#tokens(pair);
    const room = length - (pair === null ? 2 : 3);
    if (room < 0) throw new RangeError(`no text fits into ${length} tokens`);
    const [one, other] = kept(first.length, second.length, room);
    const [cls, sep] = ["cls", "sep"].map((name) => ({ id: this.#number(name), start: 0, end: 0, isAdded: true }));
    const front = [cls, ...first.slice(0, one), sep];
    const back = pair === null ? [] : [...second.slice(0, other), sep];
    const all = [...front, ...back];
    const typeIds = all.map((_, place) => (place < front.length ? 0 : 1));
    return {
      ids: all.map((token) => token.id),
      typeIds,
      sources: all.map((token, place) => (token.isAdded ? -1 : typeIds[place])),
      starts: all.map((token) => token.start),
      ends: all.map((token) => token.end),
    };
  }

  #number(name) {
    const value = this.#spec.get(name);
    if (value === undefined) throw new Error(`tokenizer.spec says nothing of '${name}'`);
    return Number(value);
  }

  #does(name) {
    return this.#spec.get(name) === "true";
  }

  /** The text's own tokens: special ones that are written out in it are taken as they are. */
  #tokens(text) {
    const tokens = [];
    let start = 0;
    let place = 0;
    while (place < text.length) {
      const found = this.#specialAt(text, place);
      if (found === "") {
        place++;
        continue;
      }
      this.#words(this.#normalised(text, start, place), tokens);
      tokens.push({ id: this.#special.get(found), start: place, end: place + found.length });
      place += found.length;
      start = place;
    }
    this.#words(this.#normalised(text, start, place), tokens);
    return tokens;
  }

  #specialAt(text, place) {
    let found = "";
    for (const each of this.#special.keys()) {
      if (each.length > found.length && text.startsWith(each, place)) found = each;
    }
    return found;
  }

  /** Cleaned, ideographs set apart, accents taken off, capitals lowered: in this order. */
  #normalised(text, from, to) {
    const clean = [];
    for (let start = from, end; start < to; start = end) {
      const point = text.codePointAt(start);
      end = start + (point > 0xffff ? 2 : 1);
      if ((point >= 0xd800 && point < 0xe000) || this.#unicode.is("removed", point)) continue;
      const letter = { point, start, end };
      const blank = { point: BLANK, start, end };
      if (this.#unicode.is("space", point)) clean.push(blank);
      else if (this.#does("split_ideographs") && this.#unicode.is("ideograph", point)) clean.push(blank, letter, blank);
      else clean.push(letter);
    }
    const stripped = this.#does("strip_accents") ? this.#withoutAccents(clean) : clean;
    if (!this.#does("lowercase")) return stripped;
    return stripped.flatMap((letter) => this.#unicode.lower(letter.point).map((point) => ({ ...letter, point })));
  }

  /** Letters and marks apart, the marks in the order of their classes, then most of them left out. */
  #withoutAccents(text) {
    const parts = text.flatMap(({ point }) =>
      this.#unicode.decompose(point).map((part, number) => ({ point: part, takesPlace: number === 0 ? 1 : 0 })),
    );
    for (let place = 1; place < parts.length; place++) {
      const mark = this.#unicode.combiningClass(parts[place].point);
      for (let before = place - 1; mark > 0 && before >= 0; before--) {
        if (this.#unicode.combiningClass(parts[before].point) <= mark) break;
        [parts[before], parts[before + 1]] = [parts[before + 1], parts[before]];
      }
    }
    let next = 0; // as the Hugging Face library has it, places stay where they are when marks change theirs
    const placed = parts.map(({ point, takesPlace }) => {
      next += takesPlace;
      return { ...text[Math.max(next - 1, 0)], point };
    });
    return placed.filter(({ point }) => !this.#unicode.is("mark", point));
  }

  /** Cuts at blanks, and before and after every punctuation mark. */
  #words(text, into) {
    let start = 0;
    text.forEach(({ point }, place) => {
      const isMark = this.#unicode.is("punctuation", point);
      if (isMark || point === BLANK) {
        this.#word(text.slice(start, place)).forEach((token) => into.push(token));
        start = place + 1;
      }
      if (isMark) this.#word([text[place]]).forEach((token) => into.push(token));
    });
    this.#word(text.slice(start)).forEach((token) => into.push(token));
  }

  #word(letters) {
    if (letters.length === 0) return [];
    const isWordPiece = this.#spec.get("kind") === "wordpiece";
    const pieces = isWordPiece && letters.length <= this.#number("max_characters") ? this.#pieces(letters) : null;
    if (pieces !== null) return pieces;
    const id = isWordPiece ? undefined : this.#vocabulary.get(textOf(letters));
    return [{ id: id ?? this.#number("unknown"), start: letters[0].start, end: letters.at(-1).end }];
  }

  /** The longest entries that fit, from the first letter on; null where some part fits none. */
  #pieces(letters) {
    const found = [];
    for (let start = 0, end; start < letters.length; start = end) {
      const prefix = start > 0 ? this.#spec.get("prefix") : "";
      let id;
      for (end = letters.length; end > start; end--) {
        id = this.#vocabulary.get(prefix + textOf(letters.slice(start, end)));
        if (id !== undefined) break;
      }
      if (id === undefined) return null;
      found.push({ id, start: letters[start].start, end: letters[end - 1].end });
    }
    return found;
  }
}

/** How many tokens of each text stay: the longer one gives first, then both alike. */
function kept(first, second, room) {
  if (first + second <= room) return [first, second];
  let shorter = Math.min(first, second);
  let longer = shorter > room ? shorter : Math.max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = Math.floor(room / 2);
    longer = shorter + (room % 2);
  }
  return first > second ? [longer, shorter] : [shorter, longer];
}

function textOf(letters) {
  return letters.map((letter) => String.fromCodePoint(letter.point)).join("");
}
