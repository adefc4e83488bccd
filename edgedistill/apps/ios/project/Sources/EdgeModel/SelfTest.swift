import Foundation

/// Runs the goldens: texts whose tokens and answers are known.
public struct SelfTest {
    private struct Golden: Decodable {
        let text: String
        let text_pair: String?
        let input_ids: [Int]
        let token_type_ids: [Int]
        let student: [String: [Float]]
        let artifact: [String: [Float]]?
        let tolerance: [String: Float]

        /// What is compared with: the student in PyTorch where the artifact was never run, as off a Mac.
        var expected: [String: [Float]] { artifact ?? student }
    }

    /// How many goldens there are.
    public let texts: Int
    /// What is wrong, a line each; empty where nothing is.
    public let faults: [String]

    /// Compares tokens, then answers, each within its tolerance.
    public init(_ model: TextModel) throws {
        var faults: [String] = []
        var texts = 0
        for file in model.files.manifest.files where file.role == "golden" {  // one for every head
            let lines = try model.files.read(file.path).split(separator: UInt8(ascii: "\n"))
            for (number, line) in lines.enumerated() {
                let golden = try JSONDecoder().decode(Golden.self, from: Data(line))
                faults += try SelfTest.faults(model, golden).map { "\(file.path) line \(number + 1): \($0)" }
            }
            texts += lines.count
        }
        self.texts = texts
        self.faults = faults
    }

    private static func faults(_ model: TextModel, _ golden: Golden) throws -> [String] {
        var faults: [String] = []
        let tokens = try model.tokenizer.encode(golden.text, pair: golden.text_pair)
        if tokens.ids != golden.input_ids || tokens.typeIds != golden.token_type_ids {
            faults.append("the tokens differ")
        }
        let found = try model.run(ids: golden.input_ids, types: golden.token_type_ids)
        // Answers of every exit are stored for the gate; an app asks only for the one it takes.
        let compared = golden.expected.filter { found.outputs[$0.key] != nil }
        if compared.isEmpty { faults.append("none of the stored answers is one of the model's") }
        for (name, wanted) in compared {
            let gap = difference(wanted, found.outputs[name] ?? [])
            if !(gap <= golden.tolerance[name] ?? 0) { faults.append("\(name) differs by \(gap)") }
        }
        if let layers = golden.expected["layers"]?.first, Int(layers) != found.segments {
            faults.append("left after \(found.segments) segments, not \(Int(layers))")
        }
        return faults
    }

    public var isPassed: Bool { texts > 0 && faults.isEmpty }
}

/// Largest difference; infinite where the sizes differ or something is no number.
private func difference(_ wanted: [Float], _ found: [Float]) -> Float {
    guard wanted.count == found.count, !wanted.isEmpty else { return .infinity }
    let gaps = zip(wanted, found).map { abs($0 - $1) }
    return gaps.contains { $0.isNaN } ? .infinity : gaps.max() ?? .infinity
}
