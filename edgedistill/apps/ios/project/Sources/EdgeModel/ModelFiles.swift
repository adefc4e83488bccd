import CryptoKit
import Foundation

/// The model cannot be used.
public enum ModelError: Error, Equatable {
    /// A file is missing, or not the one the manifest names.
    case changed(String)
    /// The manifest is of another version or kind than this package runs.
    case unsupported(String)
    /// The model has no task of that name.
    case noTask(String)
    /// The text has more tokens than the model takes.
    case tooLong(Int)
}

/// The files of the model; none is handed out before its hash was compared with the manifest's.
struct ModelFiles {
    let folder: URL
    let manifest: Manifest

    /// Opens a model whose manifest has that hash.
    init(folder: URL, sha256: String) throws {
        let content = try Data(contentsOf: folder.appendingPathComponent("manifest.json"))
        guard hash(of: content) == sha256 else { throw ModelError.changed("manifest.json") }
        self.folder = folder
        manifest = try JSONDecoder().decode(Manifest.self, from: content)
        guard manifest.schema_version == 1 else {
            throw ModelError.unsupported("schema version \(manifest.schema_version)")
        }
    }

    /// The bytes of a file that the manifest lists.
    func read(_ path: String) throws -> Data {
        guard let entry = manifest.files.first(where: { $0.path == path }), !path.contains("..") else {
            throw ModelError.changed(path)
        }
        let content = try Data(contentsOf: folder.appendingPathComponent(path), options: .mappedIfSafe)
        guard content.count == entry.size_bytes, hash(of: content) == entry.sha256 else {
            throw ModelError.changed(path)
        }
        return content
    }

    /// The same as text.
    func text(_ path: String) throws -> String {
        String(decoding: try read(path), as: UTF8.self)
    }

    /// Where the model lies, every file of it compared: a file and weights beside it, or a folder of files.
    func model(_ path: String) throws -> URL {
        let others = manifest.graphs.map(\.file).filter { $0 != path }
        for entry in manifest.files where entry.role == "model" && !others.contains(entry.path) {
            _ = try read(entry.path)
        }
        return folder.appendingPathComponent(path)
    }
}

private func hash(of content: Data) -> String {
    SHA256.hash(data: content).map { String(format: "%02x", $0) }.joined()
}
