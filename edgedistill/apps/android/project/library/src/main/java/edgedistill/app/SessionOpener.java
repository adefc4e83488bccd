package edgedistill.app;

/** A runtime (ONNX Runtime, LiteRT): makes the graphs of model files ready to run. */
public interface SessionOpener {
    /**
     * Opens one graph.
     *
     * @param graph what the manifest says of it.
     * @param model the bytes of its file, already compared with the manifest.
     * @param threads the runtime may use.
     * @throws ModelException the runtime cannot load it.
     */
    Session open(Manifest.Graph graph, byte[] model, int threads);

    /** Name and version of the runtime, for reports. */
    String version();
}
