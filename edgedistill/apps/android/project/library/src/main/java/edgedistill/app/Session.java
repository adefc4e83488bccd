package edgedistill.app;

import java.util.Map;

/** One graph of a model, ready to run in some runtime. Not thread-safe. */
public interface Session extends AutoCloseable {
    /**
     * Runs the graph once.
     *
     * @param inputs every input the graph has, by name.
     * @return every output, by name.
     * @throws ModelException the runtime refused.
     */
    Map<String, Tensor> run(Map<String, Tensor> inputs);

    @Override
    void close();
}
