/// A label and how likely it is.
public struct Label: Equatable {
    public let index: Int
    public let name: String
    public let probability: Float
}

extension TextModel {
    /// Labels of a text, or of a pair, with their probabilities, the likeliest first.
    public func classify(_ text: String, pair: String? = nil) throws -> [Label] {
        guard ["single", "pair"].contains(files.manifest.task.kind) else {
            throw ModelError.unsupported(files.manifest.task.kind)
        }
        let encoded = try tokenizer.encode(text, pair: pair)
        let found = try run(ids: encoded.ids, types: encoded.typeIds)
        let names = files.manifest.labels
        return softmax(found["logits"] ?? []).enumerated().map { index, probability in
            Label(index: index, name: index < names.count ? names[index] : "LABEL_\(index)", probability: probability)
        }.sorted { ($1.probability, $0.index) < ($0.probability, $1.index) }
    }

    /// The one number of a rating, or how well a candidate answers a question.
    public func score(_ text: String, pair: String? = nil) throws -> Float {
        let encoded = try tokenizer.encode(text, pair: pair)
        guard let score = try run(ids: encoded.ids, types: encoded.typeIds)["logits"]?.first else {
            throw ModelError.unsupported(files.manifest.task.kind)
        }
        return score
    }
}
