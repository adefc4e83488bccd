package edgedistill.app;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Says which label a text, or a pair of texts, has. */
public final class TextClassifier {
    private final Model model;
    private final TextEncoder encoder;
    private final Manifest.Head head;

    TextClassifier(Model model, TextEncoder encoder, Manifest.Head head) {
        this.model = model;
        this.encoder = encoder;
        this.head = head;
    }

    /** Labels of a text with their probabilities, the likeliest first. */
    public List<Label> classify(String text) {
        return classify(text, null);
    }

    /**
     * Labels of a pair with their probabilities, the likeliest first.
     *
     * @param text first text.
     * @param pair second text; null where there is none.
     */
    public List<Label> classify(String text, String pair) {
        Encoded encoded = encoder.encode(text, pair);
        float[] probabilities = Maths.softmax(model.run(encoded.ids, encoded.types).floats(head.output));
        List<Label> found = new ArrayList<>();
        for (int n = 0; n < probabilities.length; n++) {
            String name = n < head.labels.size() ? head.labels.get(n) : "LABEL_" + n;
            found.add(new Label(n, name, probabilities[n]));
        }
        Collections.sort(found);
        return found;
    }

    /** A label and how likely it is. */
    public static final class Label implements Comparable<Label> {
        public final int index;
        public final String name;
        public final float probability;

        Label(int index, String name, float probability) {
            this.index = index;
            this.name = name;
            this.probability = probability;
        }

        /** The likelier first, of equal ones the earlier. */
        @Override
        public int compareTo(Label other) {
            int order = Float.compare(other.probability, probability);
            return order != 0 ? order : Integer.compare(index, other.index);
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Label && index == ((Label) other).index
                    && probability == ((Label) other).probability && name.equals(((Label) other).name);
        }

        @Override
        public int hashCode() {
            return 31 * index + Float.floatToIntBits(probability);
        }

        @Override
        public String toString() {
            return name + " " + probability;
        }
    }
}
