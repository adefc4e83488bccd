/** Compares the tokenizer with what the Hugging Face one said: the lines of tokenizer-goldens.tsv. */

/**
 * Encodes every text again.
 *
 * @param {import("./tokenizer.js").Tokenizer} tokenizer
 * @param {string} goldens - the content of tokenizer-goldens.tsv
 * @returns {{asked: number, differ: number[]}} how many were compared, and the lines that differ, from 1
 */
export function compareGoldens(tokenizer, goldens) {
  const lines = goldens.split("\n").filter((line) => line !== "");
  const differ = [];
  lines.forEach((line, place) => {
    const [text, pair, length, ids, types, spans] = line.split("\t");
    const second = pair.startsWith("+") ? unescaped(pair.slice(1)) : null;
    const found = tokenizer.encode(unescaped(text), second, Number(length));
    const foundSpans = found.starts.map((start, number) => `${start}:${found.ends[number]}`).join(" ");
    const isSame = found.ids.join(" ") === ids && found.typeIds.join(" ") === types && foundSpans === spans;
    if (!isSame) differ.push(place + 1);
  });
  return { asked: lines.length, differ };
}

/** The text with every \uXXXX as the UTF-16 unit it stands for. */
export function unescaped(text) {
  return text.replace(/\\u([0-9a-f]{4})/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}
