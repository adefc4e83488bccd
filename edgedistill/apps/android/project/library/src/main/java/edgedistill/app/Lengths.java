package edgedistill.app;

/** The fixed lengths (buckets) of a model: a text runs on the shortest one that holds it. */
final class Lengths {
    private Lengths() {}

    /**
     * Chooses a bucket.
     *
     * @param tokens of the text.
     * @param lengths in any order.
     * @return place of the shortest length that holds the text.
     * @throws ModelException none does.
     */
    static int choose(int tokens, int[] lengths) {
        int best = -1;
        int longest = 0;
        for (int place = 0; place < lengths.length; place++) {
            longest = Math.max(longest, lengths[place]);
            if (lengths[place] >= tokens && (best < 0 || lengths[place] < lengths[best])) {
                best = place;
            }
        }
        if (best < 0) {
            throw new ModelException("the text has " + tokens + " tokens; the model takes " + longest + ".");
        }
        return best;
    }
}
