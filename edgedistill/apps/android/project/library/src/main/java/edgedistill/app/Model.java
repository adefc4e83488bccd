package edgedistill.app;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A model's graphs run as one: the bucket that fits, early exits, several heads. Not thread-safe; one per thread.
 */
public final class Model implements AutoCloseable {
    private static final String IDS = "input_ids";
    private static final String MASK = "attention_mask";
    private static final String TYPES = "token_type_ids";
    private static final String LOGITS = "logits";

    private final Manifest manifest;
    private final Map<String, Session> sessions = new LinkedHashMap<>();
    private final boolean leavesEarly;

    private Model(Manifest manifest, boolean leavesEarly) {
        this.manifest = manifest;
        this.leavesEarly = leavesEarly;
    }

    /** Opens a model; texts leave it early where it can be left. */
    public static Model open(ModelFiles files, SessionOpener opener, int threads) {
        return open(files, opener, threads, true);
    }

    /**
     * Opens a model.
     *
     * @param files compared with the manifest as they are read.
     * @param opener of the runtime the model was made for.
     * @param threads the runtime may use.
     * @param leavesEarly whether an early exit that is certain enough answers; false runs every segment.
     * @throws ModelException a file was changed, or the runtime cannot load it.
     */
    public static Model open(ModelFiles files, SessionOpener opener, int threads, boolean leavesEarly) {
        return open(files.manifest(), files, opener, threads, leavesEarly);
    }

    /**
     * Opens a model whose bytes come from elsewhere.
     *
     * @param manifest names its graphs and their files.
     * @param bytes of the files.
     * @param opener of the runtime the model was made for.
     * @param threads the runtime may use.
     * @param leavesEarly as above.
     */
    public static Model open(
            Manifest manifest, ModelBytes bytes, SessionOpener opener, int threads, boolean leavesEarly) {
        Model model = new Model(manifest, leavesEarly);
        Map<String, byte[]> read = new HashMap<>();
        try {
            for (String name : model.graphNames()) {
                Manifest.Graph graph = manifest.graph(name);
                if (!read.containsKey(graph.file)) {
                    read.put(graph.file, bytes.read(graph.file));
                }
                model.sessions.put(name, opener.open(graph, read.get(graph.file), threads));
            }
        } catch (RuntimeException error) {
            model.close();
            throw error;
        }
        return model;
    }

    public Manifest manifest() {
        return manifest;
    }

    /**
     * Runs the model on one text.
     *
     * @param ids token ids, without padding.
     * @param types segment of each token.
     * @throws ModelException the text is too long, or the runtime refused.
     */
    public Answer run(int[] ids, int[] types) {
        int[] ones = new int[ids.length];
        Arrays.fill(ones, 1);
        Map<String, Tensor> text = new LinkedHashMap<>();
        text.put(IDS, Tensor.ofInts(ids, 1, ids.length));
        text.put(MASK, Tensor.ofInts(ones, 1, ids.length));
        text.put(TYPES, Tensor.ofInts(types, 1, ids.length));
        return run(text);
    }

    /**
     * Runs the model on one text.
     *
     * @param text whole numbers of the shape (1, tokens) by input name, without padding.
     * @throws ModelException the text is too long, or the runtime refused.
     */
    public Answer run(Map<String, Tensor> text) {
        Manifest.Driver driver = manifest.driver;
        int tokens = text.get(IDS).ints().length;
        int place = placeFor(tokens);
        Manifest.Graph graph = manifest.graph(driver.graphs.get(place));
        int length = graph.length > 0 ? graph.length : Math.max(tokens, graph.shortest);
        Map<String, Tensor> given = new LinkedHashMap<>();
        for (Map.Entry<String, Tensor> one : text.entrySet()) {
            given.put(one.getKey(), Tensor.ofInts(Arrays.copyOf(one.getValue().ints(), length), 1, length));
        }
        return driver.kind.equals("cascade") ? cascade(place, given, tokens, length)
                : new Answer(cut(call(graph, given), tokens), length, 1);
    }

    /** Segments one after another, until an answer is certain enough. */
    private Answer cascade(int place, Map<String, Tensor> given, int tokens, int length) {
        Manifest.Driver driver = manifest.driver;
        int last = driver.exits.size() - 1;
        for (int number = 0; ; number++) {
            Map<String, Tensor> found = call(manifest.graph(driver.exits.get(number).get(place)), given);
            boolean isCertain = leavesEarly
                    && Maths.uncertainty(found.get(LOGITS).floats()) < driver.thresholds.get(number);
            if (number == last || isCertain) {
                Map<String, Tensor> answer = new LinkedHashMap<>();
                answer.put(LOGITS, found.get(LOGITS));
                return new Answer(cut(answer, tokens), length, number + 1);
            }
            given.put(driver.carryInput, found.get(driver.carryOutput));
        }
    }

    private int placeFor(int tokens) {
        if (tokens < 1 || tokens > manifest.maxLength()) {
            throw new ModelException("the text has " + tokens + " tokens; the model takes 1 to "
                    + manifest.maxLength() + ". Cut it first.");
        }
        List<String> names = manifest.driver.graphs;
        int[] lengths = new int[names.size()];
        for (int n = 0; n < lengths.length; n++) {
            int fixed = manifest.graph(names.get(n)).length;
            lengths[n] = fixed > 0 ? fixed : manifest.maxLength();
        }
        return Lengths.choose(tokens, lengths);
    }

    private Map<String, Tensor> call(Manifest.Graph graph, Map<String, Tensor> given) {
        Map<String, Tensor> wanted = new LinkedHashMap<>();
        for (String name : graph.inputs.keySet()) {
            if (!given.containsKey(name)) {
                throw new ModelException("graph '" + graph.name + "' wants an input '" + name + "' that no text has.");
            }
            wanted.put(name, given.get(name));
        }
        return sessions.get(graph.name).run(wanted);
    }

    private List<String> graphNames() {
        if (!manifest.driver.kind.equals("cascade")) {
            return manifest.driver.graphs;
        }
        List<String> names = new ArrayList<>();
        for (List<String> segment : manifest.driver.exits) {
            names.addAll(segment);
        }
        return names;
    }

    /** Outputs with a value per token, cut to the real ones. */
    private static Map<String, Tensor> cut(Map<String, Tensor> outputs, int tokens) {
        Map<String, Tensor> found = new LinkedHashMap<>();
        for (Map.Entry<String, Tensor> one : outputs.entrySet()) {
            String name = one.getKey();
            boolean isPerToken = one.getValue().shape().length == 3 || name.equals("start_logits")
                    || name.equals("end_logits");
            found.put(name, isPerToken ? one.getValue().cut(tokens) : one.getValue());
        }
        return found;
    }

    @Override
    public void close() {
        for (Session session : sessions.values()) {
            session.close();
        }
        sessions.clear();
    }
}
