import Foundation
import OnnxRuntimeBindings

/// One ONNX graph in ONNX Runtime.
final class OnnxSession: Session {
    private let environment: ORTEnv
    private let session: ORTSession
    private let dtypes: [String: String]
    private let outputs: Set<String>

    init(files: ModelFiles, graph: Manifest.Graph) throws {
        environment = try ORTEnv(loggingLevel: .warning)
        let options = try ORTSessionOptions()
        try options.setIntraOpNumThreads(1)
        session = try ORTSession(env: environment, modelPath: files.model(graph.file).path, sessionOptions: options)
        dtypes = Dictionary(uniqueKeysWithValues: graph.inputs.map { ($0.name, $0.dtype) })
        outputs = Set(graph.outputs.map(\.name))
    }

    func run(_ inputs: [String: Numbers], length: Int) throws -> [String: [Float]] {
        let given = try inputs.reduce(into: [String: ORTValue]()) { found, one in
            found[one.key] = try value(one.value, dtype: dtypes[one.key] ?? "int64", length: length)
        }
        let answers = try session.run(withInputs: given, outputNames: outputs, runOptions: nil)
        return try answers.mapValues { answer in
            try (answer.tensorData() as Data).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        }
    }

    private func value(_ numbers: Numbers, dtype: String, length: Int) throws -> ORTValue {
        var shape: [NSNumber] = [1, NSNumber(value: length)]
        let data: Data
        let type: ORTTensorElementDataType
        switch numbers {
        case .whole(let values) where dtype == "int64":
            data = values.map(Int64.init).withUnsafeBufferPointer { Data(buffer: $0) }
            type = .int64
        case .whole(let values):
            data = values.withUnsafeBufferPointer { Data(buffer: $0) }
            type = .int32
        case .states(let values):
            data = values.withUnsafeBufferPointer { Data(buffer: $0) }
            type = .float
            shape.append(NSNumber(value: values.count / length))
        }
        return try ORTValue(tensorData: NSMutableData(data: data), elementType: type, shape: shape)
    }
}
