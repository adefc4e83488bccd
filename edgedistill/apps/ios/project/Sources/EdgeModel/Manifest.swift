import Foundation

/// What manifest.json says of a model, as far as an app needs it.
struct Manifest: Decodable {
    struct Graph: Decodable {
        struct Tensor: Decodable {
            let name: String
            let dtype: String
            let shape: [Size]
        }

        /// A number, or the name of one that is free: how many there are is all an app needs.
        struct Size: Decodable {
            init(from decoder: any Decoder) throws {}
        }

        let name: String
        let file: String
        let signature: String?
        let length: Int?
        let shortest: Int?
        let inputs: [Tensor]
        let outputs: [Tensor]
    }

    struct Driver: Decodable {
        /// A place where a text may leave the model.
        struct Exit: Decodable {
            let graphs: [String]
            let output: String
            let threshold: Double
        }

        /// What a segment gives, and where the next one takes it in.
        struct Carry: Decodable {
            let output: String
            let input: String
        }

        let kind: String
        let graph: String?
        let graphs: [String]?
        let heads: [Head]?
        let exits: [Exit]?
        let carry: Carry?
    }

    struct Task: Decodable {
        let name: String?
        let kind: String
    }

    struct Tokenizer: Decodable {
        let max_length: Int
    }

    struct File: Decodable {
        let path: String
        let sha256: String
        let size_bytes: Int
        let role: String
    }

    let schema_version: Int
    let target: String
    let task: Task
    let labels: [String]
    let graphs: [Graph]
    let driver: Driver
    let tokenizer: Tokenizer
    let files: [File]

    /// Graphs by segment, each with one for every fixed length, or one alone; one segment where no text leaves early.
    var segments: [[Graph]] {
        let names = driver.exits?.map(\.graphs) ?? [driver.graphs ?? [driver.graph].compactMap { $0 }]
        return names.map { segment in segment.compactMap { name in graphs.first { $0.name == name } } }
    }

    /// What may be asked, the main one first.
    var heads: [Head] {
        driver.heads ?? [Head(name: task.name ?? task.kind, kind: task.kind, output: "logits", labels: labels)]
    }
}

/// One question that a model answers.
public struct Head: Decodable {
    public let name: String
    /// single, pair, regression, ranking, span, tokens or embedding.
    public let kind: String
    /// Names of its classes or tags, in the order of its numbers.
    public let labels: [String]
    let output: String

    init(name: String, kind: String, output: String, labels: [String]) {
        self.name = name
        self.kind = kind
        self.output = output
        self.labels = labels
    }
}
