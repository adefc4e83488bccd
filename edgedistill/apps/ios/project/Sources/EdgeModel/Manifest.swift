import Foundation

/// What manifest.json says of a model, as far as an app needs it.
struct Manifest: Decodable {
    struct Graph: Decodable {
        struct Tensor: Decodable {
            let name: String
            let dtype: String
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
        let kind: String
        let graph: String?
        let graphs: [String]?
    }

    struct Task: Decodable {
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

    /// Graphs that answer: one for each fixed length, or one alone.
    var answering: [Graph] {
        let names = driver.graphs ?? [driver.graph].compactMap { $0 }
        return names.compactMap { name in graphs.first { $0.name == name } }
    }
}
