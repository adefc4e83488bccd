/** What is computed from a model's outputs. */

const LONGEST_ANSWER = 30; // tokens, as the model was judged with

/** Probabilities of logits; they sum to 1. */
export function softmax(logits) {
  const powers = powersOf(logits);
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}

/**
 * Entropy of an answer as a share of the most there can be: 0 certain, 1 every class as likely as the others.
 * Liu et al., 2020 (FastBERT, arXiv:2004.02178), equation 8.
 */
export function uncertainty(logits) {
  const entropy = softmax(Array.from(logits)).reduce((sum, share) => sum - (share > 0 ? share * Math.log(share) : 0), 0);
  return Math.min(1, Math.max(0, entropy / Math.log(logits.length)));
}

/**
 * First and last token of the best answer: highest start + end score, at most 30 tokens, of equal ones the first.
 *
 * @param {Float32Array} starts - score of starting at each token
 * @param {Float32Array} ends - score of ending at each token
 * @param {(place: number) => boolean} isAllowed - whether a token may be in an answer
 * @returns {?{first: number, last: number, score: number}} null where no token is allowed
 */
export function bestSpan(starts, ends, isAllowed) {
  let best = null;
  for (let first = 0; first < starts.length; first++) {
    if (!isAllowed(first)) continue;
    for (let last = first; last < Math.min(starts.length, first + LONGEST_ANSWER); last++) {
      const score = starts[first] + ends[last];
      if (isAllowed(last) && (best === null || score > best.score)) best = { first, last, score };
    }
  }
  return best;
}

/** The mean over the rows of a (tokens, width) array, as long as 1. */
export function meanDirection(values, width) {
  const mean = new Float64Array(width);
  values.forEach((value, place) => (mean[place % width] += value));
  const norm = Math.hypot(...mean) || 1;
  return Float32Array.from(mean, (value) => value / norm);
}

/** Cosine of the angle between two directions. */
export function similarity(one, other) {
  return one.reduce((sum, value, place) => sum + value * other[place], 0);
}

function powersOf(logits) {
  const most = Math.max(...logits);
  return logits.map((logit) => Math.exp(logit - most));
}
