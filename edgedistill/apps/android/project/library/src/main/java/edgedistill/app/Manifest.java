package edgedistill.app;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What {@code manifest.json} says of a model, as far as an app needs it. */
public final class Manifest {
    private static final long SCHEMA_VERSION = 1;

    public final String target;
    public final String scheme;
    /** What the outputs mean: single, pair, regression, ranking, span, tokens or embedding. */
    public final String kind;
    public final List<String> labels;
    public final Map<String, Graph> graphs;
    public final Driver driver;
    public final Map<String, Object> tokenizer;
    public final Map<String, FileEntry> files;

    private Manifest(Map<String, Object> json) {
        Object version = json.get("schema_version");
        if (!Long.valueOf(SCHEMA_VERSION).equals(version)) {
            throw new ModelException(
                    "manifest.json has schema version " + version + "; this app reads " + SCHEMA_VERSION + ".");
        }
        target = text(json, "target");
        scheme = text(json, "scheme");
        kind = text(object(json, "task"), "kind");
        labels = texts(json, "labels");
        graphs = new LinkedHashMap<>();
        for (Map<String, Object> one : objects(json, "graphs")) {
            Graph graph = new Graph(one);
            graphs.put(graph.name, graph);
        }
        driver = new Driver(object(json, "driver"), labels, kind);
        tokenizer = object(json, "tokenizer");
        files = new LinkedHashMap<>();
        for (Map<String, Object> one : objects(json, "files")) {
            FileEntry entry = new FileEntry(one);
            files.put(entry.path, entry);
        }
    }

    /**
     * Reads the content of a manifest.json.
     *
     * @throws ModelException it is none, or of another schema version.
     */
    public static Manifest read(String content) {
        return new Manifest(Json.readObject(content));
    }

    /**
     * Graphs and a driver alone, as a benchmark's request has them.
     *
     * @param target runtime.
     * @param graphs list of them, as a manifest has it.
     * @param driver as a manifest has it.
     */
    public static Manifest of(String target, Object graphs, Object driver) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("schema_version", SCHEMA_VERSION);
        json.put("target", target);
        json.put("scheme", "");
        json.put("task", Collections.singletonMap("kind", "single"));
        json.put("labels", Collections.emptyList());
        json.put("graphs", graphs);
        json.put("driver", driver);
        json.put("tokenizer", Collections.singletonMap("max_length", (long) Integer.MAX_VALUE));
        json.put("files", Collections.emptyList());
        return new Manifest(json);
    }

    /** The graph of that name. */
    public Graph graph(String name) {
        Graph graph = graphs.get(name);
        if (graph == null) {
            throw new ModelException("the manifest's driver names a graph '" + name + "' that is not in its list.");
        }
        return graph;
    }

    /** Longest input in tokens. */
    public int maxLength() {
        return (int) number(tokenizer, "max_length");
    }

    /** One executable piece: a file, or one signature of it. */
    public static final class Graph {
        public final String name;
        public final String file;
        /** Signature in the file; null for a file that is one graph. */
        public final String signature;
        /** Fixed sequence length; 0 where it is free. */
        public final int length;
        /** Fewest tokens it takes where the length is free. */
        public final int shortest;
        /** NumPy dtype by input name. */
        public final Map<String, String> inputs = new LinkedHashMap<>();
        public final List<String> outputs = new ArrayList<>();
        /** Shape by output name; a size of 0 is free. */
        public final Map<String, int[]> outputShapes = new LinkedHashMap<>();

        Graph(Map<String, Object> json) {
            name = text(json, "name");
            file = text(json, "file");
            signature = (String) json.get("signature");
            length = json.get("length") == null ? 0 : (int) number(json, "length");
            shortest = json.get("shortest") == null ? 1 : (int) number(json, "shortest");
            for (Map<String, Object> one : objects(json, "inputs")) {
                inputs.put(text(one, "name"), text(one, "dtype"));
            }
            for (Map<String, Object> one : objects(json, "outputs")) {
                outputs.add(text(one, "name"));
                outputShapes.put(text(one, "name"), shape(one));
            }
        }

        private static int[] shape(Map<String, Object> json) {
            List<Object> sizes = list(json, "shape");
            int[] shape = new int[sizes.size()];
            for (int n = 0; n < shape.length; n++) {
                shape[n] = sizes.get(n) instanceof Long ? ((Long) sizes.get(n)).intValue() : 0;
            }
            return shape;
        }
    }

    /** How graphs are run as one model. */
    public static final class Driver {
        /** single, buckets, cascade or heads. */
        public final String kind;
        /** Graphs that answer: one for each fixed length, or one alone; of a cascade, those of its first exit. */
        public final List<String> graphs;
        /** Of a cascade: the graphs of each exit, one for each fixed length. */
        public final List<List<String>> exits = new ArrayList<>();
        /** Of a cascade: an exit answers where the uncertainty is below its threshold. */
        public final List<Double> thresholds = new ArrayList<>();
        /** Of a cascade: what a segment gives, and where the next one takes it in. */
        public final String carryOutput;
        public final String carryInput;
        /** What may be asked, the main one first; at least one. */
        public final List<Head> heads = new ArrayList<>();

        Driver(Map<String, Object> json, List<String> labels, String taskKind) {
            kind = text(json, "kind");
            String output = "";
            String input = "";
            switch (kind) {
                case "single":
                    graphs = Collections.singletonList(text(json, "graph"));
                    break;
                case "buckets":
                case "heads":
                    graphs = texts(json, "graphs");
                    break;
                case "cascade":
                    for (Map<String, Object> exit : objects(json, "exits")) {
                        exits.add(texts(exit, "graphs"));
                        thresholds.add(((Number) exit.get("threshold")).doubleValue());
                    }
                    graphs = exits.get(0);
                    output = text(object(json, "carry"), "output");
                    input = text(object(json, "carry"), "input");
                    break;
                default:
                    throw new ModelException("this library cannot run a '" + kind + "' model.");
            }
            carryOutput = output;
            carryInput = input;
            if (kind.equals("heads")) {
                for (Map<String, Object> head : objects(json, "heads")) {
                    heads.add(new Head(text(head, "name"), text(head, "output"), text(head, "kind"), texts(head, "labels")));
                }
            } else {
                heads.add(new Head("", "logits", taskKind, labels));
            }
        }
    }

    /** One answer of the model. */
    public static final class Head {
        public final String name;
        public final String output;
        public final String kind;
        public final List<String> labels;

        Head(String name, String output, String kind, List<String> labels) {
            this.name = name;
            this.output = output;
            this.kind = kind;
            this.labels = labels;
        }
    }

    /** One file as it was written. */
    public static final class FileEntry {
        public final String path;
        public final String sha256;
        public final long sizeBytes;
        public final String role;

        FileEntry(Map<String, Object> json) {
            path = text(json, "path");
            sha256 = text(json, "sha256");
            sizeBytes = number(json, "size_bytes");
            role = text(json, "role");
        }
    }

    private static String text(Map<String, Object> json, String key) {
        return of(json, key, String.class);
    }

    private static long number(Map<String, Object> json, String key) {
        return of(json, key, Long.class);
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(Map<String, Object> json, String key) {
        return of(json, key, Map.class);
    }

    @SuppressWarnings("unchecked")
    private static List<Object> list(Map<String, Object> json, String key) {
        return of(json, key, List.class);
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> objects(Map<String, Object> json, String key) {
        List<Map<String, Object>> found = new ArrayList<>();
        for (Object one : list(json, key)) {
            if (!(one instanceof Map)) {
                throw new ModelException("manifest.json: '" + key + "' holds something that is no object.");
            }
            found.add((Map<String, Object>) one);
        }
        return found;
    }

    private static List<String> texts(Map<String, Object> json, String key) {
        List<String> found = new ArrayList<>();
        for (Object one : list(json, key)) {
            if (!(one instanceof String)) {
                throw new ModelException("manifest.json: '" + key + "' holds something that is no text.");
            }
            found.add((String) one);
        }
        return Collections.unmodifiableList(found);
    }

    private static <T> T of(Map<String, Object> json, String key, Class<T> type) {
        Object value = json.get(key);
        if (!type.isInstance(value)) {
            throw new ModelException("manifest.json: '" + key + "' is missing or no " + type.getSimpleName() + ".");
        }
        return type.cast(value);
    }
}
