import CoreML
import Foundation

/// One function of the Core ML package.
struct CoreMLSession: Session {
    private let model: MLModel
    private let outputs: [String]

    init(files: ModelFiles, graph: Manifest.Graph) throws {
        let configuration = MLModelConfiguration()
        if let name = graph.signature, name != "main" {
            guard #available(iOS 18, macOS 15, *) else { throw ModelError.unsupported("several lengths before iOS 18") }
            configuration.functionName = name
        }
        let compiled = try MLModel.compileModel(at: files.model(graph.file))
        model = try MLModel(contentsOf: compiled, configuration: configuration)
        outputs = graph.outputs.map(\.name)
    }

    func run(_ inputs: [String: [Int32]], length: Int) throws -> [String: [Float]] {
        let features = try inputs.mapValues { values -> MLMultiArray in
            let array = try MLMultiArray(shape: [1, NSNumber(value: length)], dataType: .int32)
            for (place, value) in values.enumerated() { array[place] = NSNumber(value: value) }
            return array
        }
        let found = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: features))
        var answers: [String: [Float]] = [:]
        for name in outputs {
            guard let array = found.featureValue(for: name)?.multiArrayValue else { continue }
            answers[name] = (0..<array.count).map { array[$0].floatValue }
        }
        return answers
    }
}
