import EdgeTokenizer
import Foundation

/// An answer and where it stands in the text it is out of.
public struct FoundAnswer: Equatable {
    public let text: String
    public let range: NSRange
    /// Start and end score together: larger is surer; compare answers to one question only.
    public let score: Double
}

/// A tag and the part of the text it is for.
public struct Tag: Equatable {
    public let name: String
    public let range: NSRange
}

extension TextModel {
    /// The part of a text that answers a question; nil where no token of the text fits into the model beside it.
    public func answer(_ question: String, in context: String) throws -> FoundAnswer? {
        _ = try head(nil, "span")
        let encoded = try tokenizer.encode(question, pair: context)
        let found = try run(ids: encoded.ids, types: encoded.typeIds).outputs
        let allowed = encoded.sources.map { $0 == 1 }
        guard let starts = found["start_logits"], let ends = found["end_logits"], starts.count == allowed.count,
            ends.count == allowed.count
        else { throw ModelError.unsupported("span") }
        guard let best = bestSpan(starts: starts, ends: ends, allowed: allowed) else { return nil }
        let first = encoded.starts[best.first]
        let units = Array(context.utf16)[first..<max(first, encoded.ends[best.last])]
        let range = NSRange(location: first, length: units.count)
        return FoundAnswer(text: String(decoding: units, as: UTF16.self), range: range, score: best.score)
    }

    /// The tokens' tags in order, special ones left out.
    public func tag(_ text: String) throws -> [Tag] {
        let asked = try head(nil, "tokens")
        let encoded = try tokenizer.encode(text)
        let logits = try numbers(of: asked.output, encoded)
        let width = logits.count / encoded.ids.count
        return encoded.ids.indices.filter { encoded.sources[$0] >= 0 }.map { place -> Tag in
            let best = largest(logits[(place * width)..<((place + 1) * width)])
            let range = NSRange(location: encoded.starts[place], length: encoded.ends[place] - encoded.starts[place])
            return Tag(name: best < asked.labels.count ? asked.labels[best] : "LABEL_\(best)", range: range)
        }
    }

    /// The mean of the last layer's vectors over all tokens, of length 1: the scalar product of two texts' says how alike
    /// they are.
    public func embed(_ text: String) throws -> [Float] {
        _ = try head(nil, "embedding")
        let encoded = try tokenizer.encode(text)
        let states = try numbers(of: "last_hidden_state", encoded)
        return meanDirection(states, width: states.count / encoded.ids.count)
    }

    /// One output of the model for a text.
    func numbers(of output: String, _ encoded: Encoding) throws -> [Float] {
        guard let found = try run(ids: encoded.ids, types: encoded.typeIds).outputs[output] else {
            throw ModelError.unsupported(output)
        }
        return found
    }
}
