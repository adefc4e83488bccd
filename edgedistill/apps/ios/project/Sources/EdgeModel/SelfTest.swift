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
        let lines = try model.files.read("golden.jsonl").split(separator: UInt8(ascii: "\n"))
        for (number, line) in lines.enumerated() {
            let golden = try JSONDecoder().decode(Golden.self, from: Data(line))
            let tokens = try model.tokenizer.encode(golden.text, pair: golden.text_pair)
            if tokens.ids != golden.input_ids || tokens.typeIds != golden.token_type_ids {
                faults.append("line \(number + 1): the tokens differ")
            }
            let found = try model.run(ids: golden.input_ids, types: golden.token_type_ids)
            for (name, wanted) in golden.expected {
                let gap = difference(wanted, found[name] ?? [], isPadded: model.answersPerToken)
                if !(gap <= golden.tolerance[name] ?? 0) {
                    faults.append("line \(number + 1): \(name) differs by \(gap)")
                }
            }
        }
        texts = lines.count
        self.faults = faults
    }

    public var isPassed: Bool { texts > 0 && faults.isEmpty }
}

/// Largest difference; infinite where the sizes differ or something is no number.
private func difference(_ wanted: [Float], _ found: [Float], isPadded: Bool) -> Float {
    // Outputs with a value per token come padded; the golden holds real tokens only.
    let isComparable = isPadded ? wanted.count <= found.count : wanted.count == found.count
    guard isComparable, !wanted.isEmpty else { return .infinity }
    let gaps = zip(wanted, found).map { abs($0 - $1) }
    return gaps.contains { $0.isNaN } ? .infinity : gaps.max() ?? .infinity
}
