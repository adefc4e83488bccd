import Foundation

/// What a file of the tokenizer can be wrong in.
public enum TokenizerError: Error {
    case otherVersion(String)
    case unreadable(String)
    case missing(String)
    case noRoom(Int)
}

/// One tokenised text or pair, special tokens included, without padding. All arrays are equally long.
public struct Encoding {
    /// Numbers of the tokens.
    public var ids: [Int] = []
    /// 0 for the first text and its special tokens, 1 for the second.
    public var typeIds: [Int] = []
    /// Which text a token is of: 0 or 1; -1 for special tokens that were added.
    public var sources: [Int] = []
    /// Where a token begins in its text, in UTF-16 units, as in `NSRange`; 0 if added.
    public var starts: [Int] = []
    /// Where it ends, exclusive.
    public var ends: [Int] = []
}

/// BERT's WordPiece, or a list of whole words: the same numbers as the Hugging Face tokenizer the model was trained
/// with. Reads tokenizer.spec, vocab.txt and unicode.txt of the package.
public struct Tokenizer {
    private struct Letter {
        var point: UInt32
        var start: Int
        var end: Int
    }

    private struct Token {
        var id: Int
        var start: Int
        var end: Int
    }

    private static let blank: UInt32 = 0x20

    /// What shorter texts are filled up with.
    public let padId: Int
    /// Most tokens the model takes.
    public let maxLength: Int

    private let special: [(units: [UInt16], id: Int)]
    /// Keyed by UTF-8 bytes: Swift's own comparison of strings takes é and e + U+0301 for the same.
    private let vocabulary: [Data: Int]
    private let unicode: CharacterTable
    private let isWordPiece: Bool
    private let lowercase: Bool
    private let stripAccents: Bool
    private let splitIdeographs: Bool
    private let prefix: Data
    private let mostCharacters: Int
    private let unknown: Int
    private let cls: Int
    private let sep: Int

    /// Reads the content of the three files.
    public init(specification: String, vocabulary entries: String, unicode table: String) throws {
        let lines = linesOf(specification)
        guard lines.first == "edgedistill-tokenizer 1" else { throw TokenizerError.otherVersion("tokenizer.spec") }
        var spec: [String: String] = [:]
        var special: [(units: [UInt16], id: Int)] = []
        for line in lines.dropFirst() {
            // By bytes: a mark behind the = would be one character with it.
            guard let equals = line.utf8.firstIndex(of: UInt8(ascii: "=")) else { throw TokenizerError.unreadable(line) }
            let key = String(line[..<equals])
            let value = String(line[line.utf8.index(after: equals)...])
            if key.hasPrefix("special."), let id = Int(key.dropFirst(8)) {
                special.append((Array(value.utf16), id))
            } else {
                spec[key] = value
            }
        }
        func text(_ key: String) throws -> String {
            guard let value = spec[key] else { throw TokenizerError.missing(key) }
            return value
        }
        func number(_ key: String) throws -> Int {
            guard let value = Int(try text(key)) else { throw TokenizerError.unreadable(key) }
            return value
        }
        var vocabulary: [Data: Int] = [:]
        for (id, entry) in linesOf(entries).enumerated() { vocabulary[Data(entry.utf8)] = id }
        self.special = special.sorted { $0.units.count > $1.units.count }
        self.vocabulary = vocabulary
        unicode = try CharacterTable(table: table)
        isWordPiece = try text("kind") == "wordpiece"
        lowercase = try text("lowercase") == "true"
        stripAccents = try text("strip_accents") == "true"
        splitIdeographs = try text("split_ideographs") == "true"
        prefix = Data(try text("prefix").utf8)
        mostCharacters = try number("max_characters")
        unknown = try number("unknown")
        cls = try number("cls")
        sep = try number("sep")
        padId = try number("pad")
        maxLength = try number("max_length")
    }

    /// One text or a pair, cut to `length` tokens (the model's most, if not given), the longer text first.
    public func encode(_ text: String, pair: String? = nil, length: Int? = nil) throws -> Encoding {
        try encode(units: Array(text.utf16), pair: pair.map { Array($0.utf16) }, length: length ?? maxLength)
    }

    /// The same for UTF-16 units; lone surrogates count as U+FFFD, which is left out.
    public func encode(units: [UInt16], pair: [UInt16]?, length: Int) throws -> Encoding {
        let first = tokens(units)
        let second = pair.map(tokens) ?? []
        let room = length - (pair == nil ? 2 : 3)
        guard room >= 0 else { throw TokenizerError.noRoom(length) }
        let (one, other) = Tokenizer.kept(first.count, second.count, room)
        var result = Encoding()
        func add(_ token: Token, type: Int, source: Int) {
            result.ids.append(token.id)
            result.typeIds.append(type)
            result.sources.append(source)
            result.starts.append(token.start)
            result.ends.append(token.end)
        }
        add(Token(id: cls, start: 0, end: 0), type: 0, source: -1)
        for token in first.prefix(one) { add(token, type: 0, source: 0) }
        add(Token(id: sep, start: 0, end: 0), type: 0, source: -1)
        if pair != nil {
            for token in second.prefix(other) { add(token, type: 1, source: 1) }
            add(Token(id: sep, start: 0, end: 0), type: 1, source: -1)
        }
        return result
    }

    /// How many tokens of each text stay: the longer one gives first, then both alike.
    private static func kept(_ first: Int, _ second: Int, _ room: Int) -> (Int, Int) {
        if first + second <= room { return (first, second) }
        var shorter = min(first, second)
        var longer = shorter > room ? shorter : max(shorter, room - shorter)
        if shorter + longer > room {
            shorter = room / 2
            longer = shorter + room % 2
        }
        return first > second ? (longer, shorter) : (shorter, longer)
    }

    /// The text's own tokens: special ones that are written out in it are taken as they are.
    private func tokens(_ units: [UInt16]) -> [Token] {
        var found: [Token] = []
        var start = 0
        var place = 0
        while place < units.count {
            guard let each = special.first(where: { units[place...].starts(with: $0.units) }) else {
                place += 1
                continue
            }
            words(normalised(units[start..<place]), into: &found)
            found.append(Token(id: each.id, start: place, end: place + each.units.count))
            place += each.units.count
            start = place
        }
        words(normalised(units[start..<place]), into: &found)
        return found
    }

    /// Cleaned, ideographs set apart, accents taken off, capitals lowered: in this order.
    private func normalised(_ units: ArraySlice<UInt16>) -> [Letter] {
        var clean: [Letter] = []
        var start = units.startIndex
        while start < units.endIndex {
            var point = UInt32(units[start])
            var end = start + 1
            if (0xD800..<0xDC00).contains(point), end < units.endIndex, (0xDC00..<0xE000).contains(units[end]) {
                point = 0x10000 + ((point - 0xD800) << 10) + (UInt32(units[end]) - 0xDC00)
                end += 1
            }
            if unicode.isIn("space", point) {
                clean.append(Letter(point: Tokenizer.blank, start: start, end: end))
            } else if splitIdeographs, unicode.isIn("ideograph", point) {
                clean.append(Letter(point: Tokenizer.blank, start: start, end: end))
                clean.append(Letter(point: point, start: start, end: end))
                clean.append(Letter(point: Tokenizer.blank, start: start, end: end))
            } else if !(0xD800..<0xE000).contains(point), !unicode.isIn("removed", point) {
                clean.append(Letter(point: point, start: start, end: end))
            }
            start = end
        }
        let stripped = stripAccents ? withoutAccents(clean) : clean
        guard lowercase else { return stripped }
        return stripped.flatMap { letter in
            unicode.lower(letter.point).map { Letter(point: $0, start: letter.start, end: letter.end) }
        }
    }

    /// Letters and marks apart, the marks in the order of their classes, then most of them left out.
    private func withoutAccents(_ text: [Letter]) -> [Letter] {
        var parts: [(point: UInt32, takesPlace: Int)] = []
        for letter in text {
            for (number, part) in unicode.decompose(letter.point).enumerated() {
                parts.append((part, number == 0 ? 1 : 0))
            }
        }
        for place in parts.indices.dropFirst() {
            let mark = unicode.combiningClass(parts[place].point)
            var before = place - 1
            while mark > 0, before >= 0, unicode.combiningClass(parts[before].point) > mark {
                parts.swapAt(before, before + 1)
                before -= 1
            }
        }
        var next = 0  // as the Hugging Face library has it, places stay where they are when marks change theirs
        var result: [Letter] = []
        for part in parts {
            next += part.takesPlace
            let source = text[max(next - 1, 0)]
            if !unicode.isIn("mark", part.point) {
                result.append(Letter(point: part.point, start: source.start, end: source.end))
            }
        }
        return result
    }

    /// Cuts at blanks, and before and after every punctuation mark.
    private func words(_ text: [Letter], into found: inout [Token]) {
        var start = 0
        for (place, letter) in text.enumerated() {
            let isMark = unicode.isIn("punctuation", letter.point)
            if isMark || letter.point == Tokenizer.blank {
                word(text[start..<place], into: &found)
                start = place + 1
            }
            if isMark { word(text[place...place], into: &found) }
        }
        word(text[start...], into: &found)
    }

    private func word(_ letters: ArraySlice<Letter>, into found: inout [Token]) {
        guard let first = letters.first, let last = letters.last else { return }
        if isWordPiece, letters.count <= mostCharacters, let pieces = pieces(letters) {
            found += pieces
            return
        }
        let id = isWordPiece ? nil : vocabulary[Tokenizer.utf8(letters)]
        found.append(Token(id: id ?? unknown, start: first.start, end: last.end))
    }

    /// The longest entries that fit, from the first letter on; nil where some part fits none.
    private func pieces(_ letters: ArraySlice<Letter>) -> [Token]? {
        var found: [Token] = []
        var start = letters.startIndex
        while start < letters.endIndex {
            var end = letters.endIndex
            var id: Int?
            while end > start {
                let piece = Tokenizer.utf8(letters[start..<end])
                id = vocabulary[start > letters.startIndex ? prefix + piece : piece]
                if id != nil { break }
                end -= 1
            }
            guard let known = id else { return nil }
            found.append(Token(id: known, start: letters[start].start, end: letters[end - 1].end))
            start = end
        }
        return found
    }

    private static func utf8(_ letters: ArraySlice<Letter>) -> Data {
        var text = String.UnicodeScalarView()
        for letter in letters { if let scalar = UnicodeScalar(letter.point) { text.append(scalar) } }
        return Data(String(text).utf8)
    }
}
