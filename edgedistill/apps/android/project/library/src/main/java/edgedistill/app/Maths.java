package edgedistill.app;

/** What is computed from a model's outputs. */
public final class Maths {
    /** Longest answer in tokens, as when the model was judged. */
    static final int LONGEST_ANSWER = 30;

    private Maths() {}

    /** Probabilities of logits; they sum to 1. */
    public static float[] softmax(float[] logits) {
        double[] powers = new double[logits.length];
        double sum = 0;
        double highest = logits[argmax(logits)];
        for (int n = 0; n < logits.length; n++) {
            powers[n] = Math.exp(logits[n] - highest);
            sum += powers[n];
        }
        float[] found = new float[logits.length];
        for (int n = 0; n < found.length; n++) {
            found[n] = (float) (powers[n] / sum);
        }
        return found;
    }

    /** Place of the largest number, of equal ones the first. */
    public static int argmax(float[] values) {
        int best = 0;
        for (int n = 1; n < values.length; n++) {
            best = values[n] > values[best] ? n : best;
        }
        return best;
    }

    /**
     * Entropy of an answer as a share of the most there can be: 0 certain, 1 every class as likely as the others.
     *
     * <p>Liu et al., 2020 (FastBERT, arXiv:2004.02178), equation 8.
     */
    public static double uncertainty(float[] logits) {
        double highest = logits[argmax(logits)];
        double sum = 0;
        double weighted = 0;
        for (float logit : logits) {
            double power = Math.exp(logit - highest);
            sum += power;
            weighted += power * (logit - highest);
        }
        double share = (Math.log(sum) - weighted / sum) / Math.log(logits.length);
        return Math.min(1.0, Math.max(0.0, share));
    }

    /**
     * First and last token of the best answer: highest start + end score, at most 30 tokens.
     *
     * @param start scores of starting at each token.
     * @param end scores of ending at each token.
     * @param allowed tokens that may be in an answer; all where none is.
     */
    static int[] bestSpan(float[] start, float[] end, boolean[] allowed) {
        boolean isAnyAllowed = false;
        for (boolean one : allowed) {
            isAnyAllowed |= one;
        }
        int[] best = {0, 0};
        double highest = Double.NEGATIVE_INFINITY;
        for (int first = 0; first < start.length; first++) {
            for (int last = first; last < Math.min(start.length, first + LONGEST_ANSWER); last++) {
                double score = (double) start[first] + end[last];
                if (score > highest && (!isAnyAllowed || (allowed[first] && allowed[last]))) {
                    highest = score;
                    best = new int[] {first, last};
                }
            }
        }
        return best;
    }

    /** Mean over the rows of a (rows, width) array. */
    static float[] meanOfRows(float[] values, int rows) {
        int width = values.length / rows;
        float[] mean = new float[width];
        for (int column = 0; column < width; column++) {
            double sum = 0;
            for (int row = 0; row < rows; row++) {
                sum += values[row * width + column];
            }
            mean[column] = (float) (sum / rows);
        }
        return mean;
    }

    /** The same direction with a length of 1; zeros stay zeros. */
    static float[] normalised(float[] values) {
        double sum = 0;
        for (float value : values) {
            sum += (double) value * value;
        }
        double length = Math.max(Math.sqrt(sum), 1e-12);
        float[] found = new float[values.length];
        for (int n = 0; n < found.length; n++) {
            found[n] = (float) (values[n] / length);
        }
        return found;
    }
}
