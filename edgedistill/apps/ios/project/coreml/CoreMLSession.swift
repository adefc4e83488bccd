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

    func run(_ inputs: [String: Numbers], length: Int) throws -> [String: [Float]] {
        let features = try inputs.mapValues { try array(of: $0, length: length) }
        let found = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: features))
        var answers: [String: [Float]] = [:]
        for name in outputs {
            guard let array = found.featureValue(for: name)?.multiArrayValue else { continue }
            answers[name] = (0..<array.count).map { array[$0].floatValue }
        }
        return answers
    }

    private func array(of numbers: Numbers, length: Int) throws -> MLMultiArray {
        switch numbers {
        case .whole(let values):
            let array = try MLMultiArray(shape: [1, NSNumber(value: length)], dataType: .int32)
            for (place, value) in values.enumerated() { array[place] = NSNumber(value: value) }
            return array
        case .states(let values):
            let shape: [NSNumber] = [1, NSNumber(value: length), NSNumber(value: values.count / length)]
            let array = try MLMultiArray(shape: shape, dataType: .float32)
            for (place, value) in values.enumerated() { array[place] = NSNumber(value: value) }
            return array
        }
    }
}
