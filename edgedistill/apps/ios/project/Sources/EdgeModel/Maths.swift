import Foundation

/// Longest answer out of a text in tokens, as when the model was judged.
private let longestAnswer = 30

/// Probabilities of logits; they sum to 1.
func softmax(_ logits: [Float]) -> [Float] {
    let highest = logits.max() ?? 0
    let powers = logits.map { exp(Double($0 - highest)) }
    let sum = powers.reduce(0, +)
    return powers.map { Float($0 / sum) }
}

/// Place of the largest number, of equal ones the first; 0 where there is none.
func largest(_ values: ArraySlice<Float>) -> Int {
    let best = values.indices.reduce(values.startIndex) { values[$1] > values[$0] ? $1 : $0 }
    return best - values.startIndex
}

/// Entropy of an answer as a share of the most there can be: 0 certain, 1 every class as likely as the others.
///
/// Liu et al., 2020 (FastBERT, arXiv:2004.02178), equation 8.
func uncertainty(_ logits: [Float]) -> Double {
    let highest = Double(logits.max() ?? 0)
    let gaps = logits.map { Double($0) - highest }
    let sum = gaps.reduce(0) { $0 + exp($1) }
    let weighted = gaps.reduce(0) { $0 + exp($1) * $1 }
    return min(1, max(0, (log(sum) - weighted / sum) / log(Double(logits.count))))
}

/// First and last token of the best answer: highest start and end score together, at most 30 tokens.
///
/// - Returns: nil where no token is allowed.
func bestSpan(starts: [Float], ends: [Float], allowed: [Bool]) -> (first: Int, last: Int, score: Double)? {
    var best: (first: Int, last: Int, score: Double)?
    for first in allowed.indices where allowed[first] {
        for last in first..<min(allowed.count, first + longestAnswer) where allowed[last] {
            let score = Double(starts[first]) + Double(ends[last])
            if score > best?.score ?? -.infinity { best = (first, last, score) }
        }
    }
    return best
}

/// The mean over the rows of numbers that are so wide, as long as 1; zeros stay zeros.
func meanDirection(_ values: [Float], width: Int) -> [Float] {
    var mean = [Double](repeating: 0, count: width)
    for (place, value) in values.enumerated() { mean[place % width] += Double(value) }
    let length = max(mean.reduce(0) { $0 + $1 * $1 }.squareRoot(), 1e-12)
    return mean.map { Float($0 / length) }
}

/// Place of the shortest length that holds a text; none where no one does. 0 is a free length.
func chosen(tokens: Int, lengths: [Int]) -> Int? {
    lengths.indices.filter { lengths[$0] == 0 || lengths[$0] >= tokens }.min { lengths[$0] < lengths[$1] }
}
