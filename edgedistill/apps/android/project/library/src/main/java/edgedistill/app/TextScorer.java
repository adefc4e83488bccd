package edgedistill.app;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/** Gives a text, or a pair of texts, one number: a rating, or how well a candidate answers a question. */
public final class TextScorer {
    private final Model model;
    private final TextEncoder encoder;
    private final Manifest.Head head;

    TextScorer(Model model, TextEncoder encoder, Manifest.Head head) {
        this.model = model;
        this.encoder = encoder;
        this.head = head;
    }

    /**
     * The number.
     *
     * @param text first text.
     * @param pair second text; null where there is none.
     */
    public float score(String text, String pair) {
        Encoded encoded = encoder.encode(text, pair);
        return model.run(encoded.ids, encoded.types).floats(head.output)[0];
    }

    /** Places of the candidates, the best first and of equal ones the earlier first. */
    public List<Integer> rank(String question, List<String> candidates) {
        final List<Float> scores = new ArrayList<>();
        List<Integer> places = new ArrayList<>();
        for (String candidate : candidates) {
            places.add(scores.size());
            scores.add(score(question, candidate));
        }
        Collections.sort(places, new Comparator<Integer>() {
            @Override
            public int compare(Integer one, Integer other) {
                return Float.compare(scores.get(other), scores.get(one));
            }
        });
        return places;
    }
}
