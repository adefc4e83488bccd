/** What the tokenizer knows of characters, read from unicode.txt. No table of the browser's is asked: they differ. */

const HANGUL = 0xac00;
const HANGUL_END = 0xd7a4;

export class Unicode {
  #ranges = new Map();
  #classes = new Map();
  #lowered = new Map();
  #decomposed = new Map();

  /** @param {string} table - the content of unicode.txt */
  constructor(table) {
    const [version, ...lines] = table.split("\n");
    if (!version.startsWith("edgedistill-unicode 1 ")) throw new Error(`unicode.txt is of another version: ${version}`);
    for (const line of lines) {
      const [name, ...entries] = line.split(" ");
      if (name === "class") this.#readClasses(entries);
      else if (name === "lower") this.#readShifts(entries);
      else if (name === "lower-long") readTexts(entries, this.#lowered);
      else if (name === "decompose") readTexts(entries, this.#decomposed);
      else this.#ranges.set(name, entries.map(range));
    }
  }

  /** Whether a character is one of "removed", "space", "ideograph", "punctuation" or "mark". */
  is(name, point) {
    const ranges = this.#ranges.get(name);
    let low = 0;
    let high = ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (point < ranges[middle][0]) high = middle - 1;
      else if (point > ranges[middle][1]) low = middle + 1;
      else return true;
    }
    return false;
  }

  /** Canonical combining class, or a number that stands in the same order; 0 for what marks stand on. */
  combiningClass(point) {
    return this.#classes.get(point) ?? 0;
  }

  /** The lower case, as code points. */
  lower(point) {
    return this.#lowered.get(point) ?? [point];
  }

  /** The canonical decomposition, as code points. */
  decompose(point) {
    if (point < HANGUL || point >= HANGUL_END) return this.#decomposed.get(point) ?? [point];
    const syllable = point - HANGUL;
    const parts = [0x1100 + Math.floor(syllable / 588), 0x1161 + Math.floor((syllable % 588) / 28)];
    return syllable % 28 === 0 ? parts : [...parts, 0x11a7 + (syllable % 28)];
  }

  #readClasses(entries) {
    for (const entry of entries) {
      const [span, value] = entry.split(":");
      const [first, last] = range(span);
      for (let point = first; point <= last; point++) this.#classes.set(point, parseInt(value, 16));
    }
  }

  #readShifts(entries) {
    for (const entry of entries) {
      const [span, step, distance] = entry.split(/[/:]/);
      const [first, last] = range(span);
      for (let point = first; point <= last; point += parseInt(step, 16)) {
        this.#lowered.set(point, [point + parseInt(distance, 16)]);
      }
    }
  }
}

function readTexts(entries, into) {
  for (const entry of entries) {
    const [point, letters] = entry.split(">");
    into.set(parseInt(point, 16), letters.split(".").map((letter) => parseInt(letter, 16)));
  }
}

function range(text) {
  const [first, last = first] = text.split("-");
  return [parseInt(first, 16), parseInt(last, 16)];
}
