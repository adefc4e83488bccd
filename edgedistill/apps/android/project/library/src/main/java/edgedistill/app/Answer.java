package edgedistill.app;

import java.util.Collections;
import java.util.Map;

/** What a model said to one text. */
public final class Answer {
    private final Map<String, Tensor> outputs;
    /** Length in tokens of the graph that ran, padding counted. */
    public final int length;
    /** Segments that were run: fewer than the model has where it left early. */
    public final int layers;

    Answer(Map<String, Tensor> outputs, int length, int layers) {
        this.outputs = Collections.unmodifiableMap(outputs);
        this.length = length;
        this.layers = layers;
    }

    /** Every output by name; those with a value per token hold real tokens only. */
    public Map<String, Tensor> outputs() {
        return outputs;
    }

    /**
     * The numbers of one output, row-major.
     *
     * @throws ModelException the model has none of that name.
     */
    public float[] floats(String output) {
        Tensor found = outputs.get(output);
        if (found == null) {
            throw new ModelException("the model has no output '" + output + "'; it has " + outputs.keySet() + ".");
        }
        return found.floats();
    }
}
