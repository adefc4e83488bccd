/// One graph of a model, ready to run on one text.
protocol Session {
    /// Runs the graph.
    ///
    /// - Parameters:
    ///   - inputs: whole numbers by input name, each `length` long.
    ///   - length: tokens, padding counted.
    /// - Returns: every output's numbers, row-major.
    func run(_ inputs: [String: [Int32]], length: Int) throws -> [String: [Float]]
}
