package edgedistill.app;

/** A model with its tokenizer: what an app opens once, asks for helpers, and closes. */
public final class TextModel implements AutoCloseable {
    private final ModelFiles files;
    private final Model model;
    private final TextEncoder encoder;

    private TextModel(ModelFiles files, Model model, TextEncoder encoder) {
        this.files = files;
        this.model = model;
        this.encoder = encoder;
    }

    /**
     * Opens a model and its tokenizer.
     *
     * @param files compared with the manifest as they are read.
     * @param opener of the runtime the model was made for.
     * @param threads the runtime may use.
     * @throws ModelException a file was changed, or cannot be used.
     */
    public static TextModel open(ModelFiles files, SessionOpener opener, int threads) {
        TextEncoder encoder = Tokenizers.open(files);
        return new TextModel(files, Model.open(files, opener, threads), encoder);
    }

    public Model model() {
        return model;
    }

    public TextEncoder encoder() {
        return encoder;
    }

    public ModelFiles files() {
        return files;
    }

    /** The main head's classifier. */
    public TextClassifier classifier() {
        return new TextClassifier(model, encoder, head(null, "single", "pair"));
    }

    /** The classifier of a task, where the model answers several. */
    public TextClassifier classifier(String task) {
        return new TextClassifier(model, encoder, head(task, "single", "pair"));
    }

    /** The main head's scorer. */
    public TextScorer scorer() {
        return new TextScorer(model, encoder, head(null, "regression", "ranking"));
    }

    /** The scorer of a task, where the model answers several. */
    public TextScorer scorer(String task) {
        return new TextScorer(model, encoder, head(task, "regression", "ranking"));
    }

    public QuestionAnswerer questionAnswerer() {
        head(null, "span");
        return new QuestionAnswerer(model, encoder);
    }

    public TokenTagger tagger() {
        return new TokenTagger(model, encoder, head(null, "tokens"));
    }

    public Embedder embedder() {
        head(null, "embedding");
        return new Embedder(model, encoder);
    }

    private Manifest.Head head(String task, String... kinds) {
        for (Manifest.Head one : model.manifest().driver.heads) {
            if (task == null || one.name.equals(task)) {
                for (String kind : kinds) {
                    if (kind.equals(one.kind)) {
                        return one;
                    }
                }
                throw new ModelException("the model's answer is of the kind '" + one.kind + "', not '" + kinds[0]
                        + "'. Ask for the helper of that kind.");
            }
        }
        throw new ModelException("the model has no task '" + task + "'.");
    }

    @Override
    public void close() {
        model.close();
    }
}
