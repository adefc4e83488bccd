import Foundation
import XCTest

@testable import EdgeTokenizer

/// What the Hugging Face tokenizer said to thousands of texts, asked of this one: tokenizer-goldens.tsv.
final class GoldensTests: XCTestCase {
    func testEveryGoldenIsTheSame() throws {
        let tokenizer = try Tokenizer(
            specification: read("tokenizer.spec"), vocabulary: read("vocab.txt"), unicode: read("unicode.txt"))
        let lines = linesOf(try read("tokenizer-goldens.tsv"))
        XCTAssertFalse(lines.isEmpty)
        for (place, line) in lines.enumerated() {
            let columns = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            let pair = columns[1].hasPrefix("+") ? unescaped(String(columns[1].dropFirst())) : nil
            let length = try XCTUnwrap(Int(columns[2]))
            let found = try tokenizer.encode(units: unescaped(columns[0]), pair: pair, length: length)
            let spans = zip(found.starts, found.ends).map { "\($0):\($1)" }.joined(separator: " ")
            XCTAssertEqual(found.ids.map(String.init).joined(separator: " "), columns[3], "line \(place + 1)")
            XCTAssertEqual(found.typeIds.map(String.init).joined(separator: " "), columns[4], "line \(place + 1)")
            XCTAssertEqual(spans, columns[5], "line \(place + 1)")
        }
    }

    private func read(_ name: String) throws -> String {
        let file = try XCTUnwrap(Bundle.module.url(forResource: "Resources/\(name)", withExtension: nil))
        return String(decoding: try Data(contentsOf: file), as: UTF8.self)
    }

    /// Every \uXXXX as the UTF-16 unit it stands for.
    private func unescaped(_ text: String) -> [UInt16] {
        let units = Array(text.utf16)
        var result: [UInt16] = []
        var place = 0
        while place < units.count {
            if units[place] == 0x5C, let unit = UInt16(String(decoding: units[(place + 2)..<(place + 6)], as: UTF16.self), radix: 16) {
                result.append(unit)
                place += 6
            } else {
                result.append(units[place])
                place += 1
            }
        }
        return result
    }
}
