package edgedistill.app;

/** A model's tokenizer. */
public interface TextEncoder {
    /**
     * Turns a text into tokens, cut to the model's longest input.
     *
     * @param text first text.
     * @param pair second text; null where there is one only.
     */
    Encoded encode(String text, String pair);
}
