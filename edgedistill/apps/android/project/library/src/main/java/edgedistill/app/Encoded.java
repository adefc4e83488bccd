package edgedistill.app;

/** A text, or a pair, in a model's tokens: special tokens included, no padding. */
public final class Encoded {
    /** Token ids. */
    public final int[] ids;
    /** Segment of each token: 0, or 1 in the second text. */
    public final int[] types;
    /** Which text each token is of: 0, 1, or -1 for a special token. */
    public final int[] texts;
    /** Where each token begins in its text, in chars of the Java string. */
    public final int[] starts;
    /** Behind its last char. */
    public final int[] ends;

    public Encoded(int[] ids, int[] types, int[] texts, int[] starts, int[] ends) {
        this.ids = ids;
        this.types = types;
        this.texts = texts;
        this.starts = starts;
        this.ends = ends;
    }
}
