/// What a graph takes in: a row of whole numbers, or what the graph before it gave.
enum Numbers {
    case whole([Int32])
    case states([Float])
}

/// One graph of a model, ready to run on one text.
protocol Session {
    /// Runs the graph.
    ///
    /// - Parameters:
    ///   - inputs: by input name; whole numbers are `length` long, states a multiple of it.
    ///   - length: tokens, padding counted.
    /// - Returns: every output's numbers, row-major.
    func run(_ inputs: [String: Numbers], length: Int) throws -> [String: [Float]]
}
