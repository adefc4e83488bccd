import XCTest

@testable import EdgeModel

final class GoldensTests: XCTestCase {
    /// Tokens and answers, on a Mac, a simulator or a phone.
    func testEveryGoldenIsAnsweredAsWhenTheModelWasJudged() throws {
        let found = try SelfTest(TextModel())
        XCTAssertGreaterThan(found.texts, 0)
        XCTAssertEqual(found.faults, [])
    }

    func testAChangedManifestIsRefused() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data("{}".utf8).write(to: folder.appendingPathComponent("manifest.json"))
        XCTAssertThrowsError(try TextModel(folder: folder)) { error in
            XCTAssertEqual(error as? ModelError, .changed("manifest.json"))
        }
    }

    func testATextRunsOnTheShortestLengthThatHoldsIt() {
        XCTAssertEqual(chosen(tokens: 5, lengths: [64, 4, 8]), 2)
        XCTAssertEqual(chosen(tokens: 99, lengths: [0]), 0)
        XCTAssertNil(chosen(tokens: 65, lengths: [64, 4, 8]))
    }

    func testProbabilitiesSumToOne() {
        XCTAssertEqual(softmax([1000, 1000]), [0.5, 0.5])
    }
}
