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

    func testAnAnswerIsCertainWhereOneClassHasAll() {
        XCTAssertEqual(uncertainty([3, 3, 3]), 1, accuracy: 1e-9)
        XCTAssertEqual(uncertainty([1000, 0]), 0, accuracy: 1e-9)
    }

    func testASpanLiesWithinTheTokensThatAreAllowed() {
        let best = bestSpan(starts: [9, 0, 1, 0], ends: [9, 2, 0, 1], allowed: [false, true, true, true])
        XCTAssertEqual(best?.first, 1)
        XCTAssertEqual(best?.last, 1)
        XCTAssertNil(bestSpan(starts: [1], ends: [1], allowed: [false]))
    }

    func testADirectionIsAsLongAs1() {
        XCTAssertEqual(meanDirection([3, 0, 3, 8], width: 2), [0.6, 0.8])
        XCTAssertEqual(meanDirection([0, 0], width: 2), [0, 0])
    }
}
