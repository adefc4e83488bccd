package edgedistill.app;

/** Finds the answer to a question within a text. */
public final class QuestionAnswerer {
    private final Model model;
    private final TextEncoder encoder;

    QuestionAnswerer(Model model, TextEncoder encoder) {
        this.model = model;
        this.encoder = encoder;
    }

    /**
     * The likeliest answer.
     *
     * @param question first text.
     * @param context the answer is cut out of; what is beyond the model's longest input is not read.
     */
    public Span answer(String question, String context) {
        Encoded encoded = encoder.encode(question, context);
        Answer answer = model.run(encoded.ids, encoded.types);
        float[] start = answer.floats("start_logits");
        float[] end = answer.floats("end_logits");
        boolean[] allowed = new boolean[encoded.ids.length];
        for (int n = 0; n < allowed.length; n++) {
            allowed[n] = encoded.texts[n] == 1;
        }
        int[] best = Maths.bestSpan(start, end, allowed);
        if (!allowed[best[0]]) {
            return new Span("", 0, 0, start[best[0]] + end[best[1]]);
        }
        int from = encoded.starts[best[0]];
        int to = Math.max(from, encoded.ends[best[1]]);
        return new Span(context.substring(from, to), from, to, start[best[0]] + end[best[1]]);
    }

    /** An answer and where it stands in the context, in chars. */
    public static final class Span {
        public final String text;
        public final int start;
        public final int end;
        /** Start and end logit together: larger is surer; compare answers to one question only. */
        public final float score;

        Span(String text, int start, int end, float score) {
            this.text = text;
            this.start = start;
            this.end = end;
            this.score = score;
        }

        @Override
        public String toString() {
            return text;
        }
    }
}
