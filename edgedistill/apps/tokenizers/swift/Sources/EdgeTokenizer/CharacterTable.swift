/// What the tokenizer knows of characters, read from unicode.txt. No table of Swift's own is asked: they differ.
struct CharacterTable {
    private static let hangul: UInt32 = 0xAC00
    private static let hangulEnd: UInt32 = 0xD7A4

    private var ranges: [String: [ClosedRange<UInt32>]] = [:]
    private var classes: [UInt32: Int] = [:]
    private var lowered: [UInt32: [UInt32]] = [:]
    private var decomposed: [UInt32: [UInt32]] = [:]

    init(table: String) throws {
        let lines = linesOf(table)
        guard let version = lines.first, version.hasPrefix("edgedistill-unicode 1 ") else {
            throw TokenizerError.otherVersion("unicode.txt")
        }
        for line in lines.dropFirst() {
            let parts = line.split(separator: " ").map(String.init)
            let entries = parts.dropFirst()
            switch parts[0] {
            case "class":
                for entry in entries {
                    let halves = entry.split(separator: ":")
                    for point in try CharacterTable.range(halves[0]) { classes[point] = Int(halves[1], radix: 16) }
                }
            case "lower":
                for entry in entries {
                    let pieces = entry.split(whereSeparator: { $0 == "/" || $0 == ":" })
                    guard let step = Int(pieces[1], radix: 16), let distance = Int64(pieces[2], radix: 16) else {
                        throw TokenizerError.unreadable(entry)
                    }
                    let span = try CharacterTable.range(pieces[0])
                    for point in stride(from: span.lowerBound, through: span.upperBound, by: step) {
                        lowered[point] = [UInt32(Int64(point) + distance)]
                    }
                }
            case "lower-long":
                for entry in entries { try CharacterTable.read(entry, into: &lowered) }
            case "decompose":
                for entry in entries { try CharacterTable.read(entry, into: &decomposed) }
            default:
                ranges[parts[0]] = try entries.map { try CharacterTable.range(Substring($0)) }
            }
        }
    }

    /// Whether a character is one of "removed", "space", "ideograph", "punctuation" or "mark".
    func isIn(_ name: String, _ point: UInt32) -> Bool {
        guard let spans = ranges[name] else { return false }
        var low = 0
        var high = spans.count - 1
        while low <= high {
            let middle = (low + high) / 2
            if point < spans[middle].lowerBound {
                high = middle - 1
            } else if point > spans[middle].upperBound {
                low = middle + 1
            } else {
                return true
            }
        }
        return false
    }

    /// Canonical combining class, or a number that stands in the same order; 0 for what marks stand on.
    func combiningClass(_ point: UInt32) -> Int { classes[point] ?? 0 }

    /// The lower case, as code points.
    func lower(_ point: UInt32) -> [UInt32] { lowered[point] ?? [point] }

    /// The canonical decomposition, as code points.
    func decompose(_ point: UInt32) -> [UInt32] {
        guard point >= CharacterTable.hangul, point < CharacterTable.hangulEnd else { return decomposed[point] ?? [point] }
        let syllable = point - CharacterTable.hangul
        let parts = [0x1100 + syllable / 588, 0x1161 + syllable % 588 / 28]
        return syllable % 28 == 0 ? parts : parts + [0x11A7 + syllable % 28]
    }

    private static func range(_ text: Substring) throws -> ClosedRange<UInt32> {
        let ends = text.split(separator: "-").compactMap { UInt32($0, radix: 16) }
        guard let first = ends.first, let last = ends.last else { throw TokenizerError.unreadable(String(text)) }
        return first...last
    }

    private static func read(_ entry: String, into texts: inout [UInt32: [UInt32]]) throws {
        let halves = entry.split(separator: ">")
        guard halves.count == 2, let point = UInt32(halves[0], radix: 16) else { throw TokenizerError.unreadable(entry) }
        texts[point] = halves[1].split(separator: ".").compactMap { UInt32($0, radix: 16) }
    }
}

/// Lines that end with a line feed and nothing else: words may hold every other kind of line end.
func linesOf(_ text: String) -> [String] {
    var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
    if lines.last == "" { lines.removeLast() }
    return lines
}
