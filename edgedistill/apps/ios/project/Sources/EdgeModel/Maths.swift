import Foundation

/// Probabilities of logits; they sum to 1.
func softmax(_ logits: [Float]) -> [Float] {
    let highest = logits.max() ?? 0
    let powers = logits.map { exp(Double($0 - highest)) }
    let sum = powers.reduce(0, +)
    return powers.map { Float($0 / sum) }
}

/// Place of the shortest length that holds a text; none where no one does. 0 is a free length.
func chosen(tokens: Int, lengths: [Int]) -> Int? {
    lengths.indices.filter { lengths[$0] == 0 || lengths[$0] >= tokens }.min { lengths[$0] < lengths[$1] }
}
