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

    func run(_ inputs: [String: [Int32]], length: Int) throws -> [String: [Float]] {
        let given = try inputs.reduce(into: [String: ORTValue]()) { found, one in
            found[one.key] = try value(one.value, dtype: dtypes[one.key] ?? "int64", length: length)
        }
        let answers = try session.run(withInputs: given, outputNames: outputs, runOptions: nil)
        return try answers.mapValues { answer in
            try (answer.tensorData() as Data).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        }
    }

    private func value(_ numbers: [Int32], dtype: String, length: Int) throws -> ORTValue {
        let isWide = dtype == "int64"
        let data = isWide
            ? numbers.map(Int64.init).withUnsafeBufferPointer { Data(buffer: $0) }
            : numbers.withUnsafeBufferPointer { Data(buffer: $0) }
        return try ORTValue(
            tensorData: NSMutableData(data: data),
            elementType: isWide ? .int64 : .int32,
            shape: [1, NSNumber(value: length)]
        )
    }
}
