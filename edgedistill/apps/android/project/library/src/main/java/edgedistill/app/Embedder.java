package edgedistill.app;

/** Turns a text into a vector: texts that mean the same point the same way. */
public final class Embedder {
    private final Model model;
    private final TextEncoder encoder;

    Embedder(Model model, TextEncoder encoder) {
        this.model = model;
        this.encoder = encoder;
    }

    /** The mean of the last layer's vectors over all tokens, of length 1. */
    public float[] embed(String text) {
        Encoded encoded = encoder.encode(text, null);
        float[] states = model.run(encoded.ids, encoded.types).floats("last_hidden_state");
        return Maths.normalised(Maths.meanOfRows(states, encoded.ids.length));
    }

    /** Cosine of the angle between two vectors of {@link #embed}. */
    public static float similarity(float[] one, float[] other) {
        double sum = 0;
        for (int n = 0; n < one.length; n++) {
            sum += (double) one[n] * other[n];
        }
        return (float) sum;
    }
}
