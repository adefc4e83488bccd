import EdgeTokenizer

/// A label and how likely it is.
public struct Label: Equatable {
    public let index: Int
    public let name: String
    public let probability: Float
}

extension TextModel {
    /// Labels of a text, or of a pair, with their probabilities, the likeliest first.
    ///
    /// - Parameter task: of a model of several tasks; the main one where none is named.
    public func classify(_ text: String, pair: String? = nil, task: String? = nil) throws -> [Label] {
        let asked = try head(task, "single", "pair")
        let logits = try numbers(of: asked.output, tokenizer.encode(text, pair: pair))
        return softmax(logits).enumerated().map { index, probability -> Label in
            let name = index < asked.labels.count ? asked.labels[index] : "LABEL_\(index)"
            return Label(index: index, name: name, probability: probability)
        }.sorted { ($1.probability, $0.index) < ($0.probability, $1.index) }
    }

    /// The one number of a rating, or how well a candidate answers a question.
    ///
    /// - Parameter task: of a model of several tasks; the main one where none is named.
    public func score(_ text: String, pair: String? = nil, task: String? = nil) throws -> Float {
        let asked = try head(task, "regression", "ranking")
        guard let score = try numbers(of: asked.output, tokenizer.encode(text, pair: pair)).first else {
            throw ModelError.unsupported(asked.kind)
        }
        return score
    }
}
