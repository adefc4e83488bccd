package edgedistill.app;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Gives every token of a text a tag. */
public final class TokenTagger {
    private final Model model;
    private final TextEncoder encoder;
    private final Manifest.Head head;

    TokenTagger(Model model, TextEncoder encoder, Manifest.Head head) {
        this.model = model;
        this.encoder = encoder;
        this.head = head;
    }

    /** The tokens of a text in order, special ones left out. */
    public List<Tag> tag(String text) {
        Encoded encoded = encoder.encode(text, null);
        float[] logits = model.run(encoded.ids, encoded.types).floats(head.output);
        int width = logits.length / encoded.ids.length;
        List<Tag> found = new ArrayList<>();
        for (int n = 0; n < encoded.ids.length; n++) {
            if (encoded.texts[n] >= 0) {
                int best = Maths.argmax(Arrays.copyOfRange(logits, n * width, (n + 1) * width));
                String name = best < head.labels.size() ? head.labels.get(best) : "LABEL_" + best;
                found.add(new Tag(name, encoded.starts[n], encoded.ends[n]));
            }
        }
        return found;
    }

    /** A tag and the chars of the text it is for. */
    public static final class Tag {
        public final String name;
        public final int start;
        public final int end;

        Tag(String name, int start, int end) {
            this.name = name;
            this.start = start;
            this.end = end;
        }
    }
}
