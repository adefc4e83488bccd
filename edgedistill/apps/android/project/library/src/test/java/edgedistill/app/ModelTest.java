package edgedistill.app;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.Test;

/** Drivers and hash checks, with a runtime made of Java: what is asked of it is what is looked at. */
public class ModelTest {
    private final Map<String, byte[]> stored = new HashMap<>();
    private final List<String> asked = new ArrayList<>();
    private final List<String> closed = new ArrayList<>();
    private String sha256;

    private final FileSource source = new FileSource() {
        @Override
        public InputStream open(String path) throws IOException {
            if (!stored.containsKey(path)) {
                throw new FileNotFoundException(path);
            }
            return new ByteArrayInputStream(stored.get(path));
        }
    };

    /** Answers with the sum of the ids as first logit, and with one value a token. */
    private final SessionOpener opener = new SessionOpener() {
        @Override
        public Session open(final Manifest.Graph graph, byte[] model, int threads) {
            return new Session() {
                @Override
                public Map<String, Tensor> run(Map<String, Tensor> inputs) {
                    Tensor first = inputs.containsKey("input_ids") ? inputs.get("input_ids") : inputs.get("hidden");
                    asked.add(graph.name + " " + inputs.keySet() + " " + first.shape()[1]);
                    Map<String, Tensor> found = new LinkedHashMap<>();
                    int sum = 0;
                    if (first.isInteger()) {
                        for (int id : first.ints()) {
                            sum += id;
                        }
                    }
                    int length = first.shape()[1];
                    found.put("logits", Tensor.ofFloats(new float[] {sum, 0}, 1, 2));
                    found.put("start_logits", Tensor.ofFloats(new float[length], 1, length));
                    found.put("state", Tensor.ofFloats(new float[length * 3], 1, length, 3));
                    return found;
                }

                @Override
                public void close() {
                    closed.add(graph.name);
                }
            };
        }

        @Override
        public String version() {
            return "Java";
        }
    };

    @Test
    public void aTextRunsOnTheShortestLengthThatHoldsIt() {
        Model model = open(buckets(), graph("short", 4), graph("long", 8));
        assertEquals(4, model.run(new int[] {1, 2, 3}, new int[3]).length);
        Answer answer = model.run(new int[] {1, 2, 3, 4, 5}, new int[5]);
        assertEquals(8, answer.length);
        assertEquals("long [input_ids, attention_mask, token_type_ids] 8", asked.get(1));
        assertEquals(15f, answer.floats("logits")[0], 0);
        assertArrayEquals("per-token outputs hold real tokens", new int[] {1, 5, 3},
                answer.outputs().get("state").shape());
        assertEquals(5, answer.floats("start_logits").length);
    }

    @Test
    public void aTextThatIsTooLongIsRefused() {
        Model model = open(buckets(), graph("short", 4), graph("long", 8));
        try {
            model.run(new int[9], new int[9]);
            fail();
        } catch (ModelException error) {
            assertTrue(error.getMessage(), error.getMessage().startsWith("the text has 9 tokens; the model takes"));
        }
    }

    @Test
    public void aFreeLengthIsTheTextsOwnButNotShorterThanTheShortest() {
        Model model = open("{\"kind\":\"single\",\"graph\":\"free\"}", graph("free", 0));
        assertEquals(3, model.run(new int[] {1}, new int[1]).length);
        assertEquals(5, model.run(new int[5], new int[5]).length);
    }

    @Test
    public void aCertainExitAnswersAndTheRestIsNotRun() {
        Model model = open(cascade(), graph("first", 8), second());
        assertEquals(1, model.run(new int[] {90}, new int[1]).layers);
        assertEquals(1, asked.size());
        Answer unsure = model.run(new int[] {0}, new int[1]);
        assertEquals(2, unsure.layers);
        assertEquals("second [hidden, attention_mask] 8", asked.get(2));
        assertEquals("[logits]", unsure.outputs().keySet().toString());
    }

    @Test
    public void theLastExitAlwaysAnswersAndAllAreRunWhereAsked() {
        ModelFiles files = files(cascade(), graph("first", 8), second());
        Model model = Model.open(files, opener, 1, false);
        assertEquals(2, model.run(new int[] {90}, new int[1]).layers);
    }

    @Test
    public void everySessionIsClosed() {
        open(buckets(), graph("short", 4), graph("long", 8)).close();
        assertEquals("[short, long]", closed.toString());
    }

    @Test
    public void aChangedModelAManifestOfAnotherBuildAndForeignPathsAreRefused() {
        ModelFiles files = files(buckets(), graph("short", 4), graph("long", 8));
        stored.put("model.bin", "another".getBytes(StandardCharsets.UTF_8));
        refused("is not the file the manifest names", () -> Model.open(files, opener, 1));
        refused("is not in the manifest", () -> files.read("../secret"));
        refused("the app was built with", () -> ModelFiles.open(source, "0000"));
        stored.remove("manifest.json");
        refused("cannot read 'manifest.json'", () -> ModelFiles.open(source, sha256));
    }

    @Test
    public void aManifestThatListsAPathOutsideIsNotFollowed() {
        ModelFiles files = files(buckets(), graph("short", 4).replace("model.bin", "../x"));
        refused("no path within the model", () -> files.read("../x"));
    }

    @Test
    public void anotherSchemaVersionAndAWritingModelAreRefused() {
        refused("schema version 2", () -> Manifest.read("{\"schema_version\": 2}"));
        refused("cannot run a 'seq2seq' model", () -> files("{\"kind\":\"seq2seq\"}", graph("short", 4)));
    }

    @Test
    public void labelsComeLikeliestFirst() {
        Model model = open(buckets(), graph("short", 4), graph("long", 8));
        TextEncoder encoder = (text, pair) -> new Encoded(new int[] {text.length()}, new int[1], new int[1], new int[1],
                new int[1]);
        TextClassifier classifier = new TextClassifier(model, encoder, model.manifest().driver.heads.get(0));
        List<TextClassifier.Label> labels = classifier.classify("ab");
        assertEquals("bad", labels.get(0).name);
        assertEquals(0.880797f, labels.get(0).probability, 1e-6f);
        assertFalse(labels.get(0).equals(labels.get(1)));
    }

    private static String buckets() {
        return "{\"kind\":\"buckets\",\"graphs\":[\"short\",\"long\"]}";
    }

    private static String cascade() {
        return "{\"kind\":\"cascade\",\"exits\":[{\"graphs\":[\"first\"],\"threshold\":0.5},"
                + "{\"graphs\":[\"second\"],\"threshold\":0.5}],\"carry\":{\"output\":\"state\",\"input\":\"hidden\"}}";
    }

    private static String graph(String name, int length) {
        return graph(name, length, "input_ids", "attention_mask", "token_type_ids");
    }

    private static String second() {
        return graph("second", 8, "hidden", "attention_mask");
    }

    private static String graph(String name, int length, String... inputs) {
        StringBuilder tensors = new StringBuilder();
        for (String input : inputs) {
            tensors.append(tensors.length() == 0 ? "" : ",")
                    .append("{\"name\":\"").append(input).append("\",\"dtype\":\"int64\",\"shape\":[1,8]}");
        }
        return "{\"name\":\"" + name + "\",\"file\":\"model.bin\",\"length\":" + (length == 0 ? "null" : length)
                + ",\"shortest\":3,\"inputs\":[" + tensors + "],\"outputs\":[]}";
    }

    private ModelFiles files(String driver, String... graphs) {
        stored.put("model.bin", "a model".getBytes(StandardCharsets.UTF_8));
        String model = ModelFiles.sha256Of(stored.get("model.bin"));
        String entry = ",\"sha256\":\"" + model + "\",\"size_bytes\":7,\"role\":\"model\"}";
        String manifest = "{\"schema_version\":1,\"target\":\"onnx\",\"scheme\":\"fp32\",\"task\":{\"kind\":\"single\"},"
                + "\"labels\":[\"bad\",\"good\"],\"graphs\":[" + String.join(",", graphs) + "],\"driver\":" + driver
                + ",\"tokenizer\":{\"max_length\":8},\"files\":[{\"path\":\"model.bin\"" + entry
                + ",{\"path\":\"../x\"" + entry + "]}";
        stored.put("manifest.json", manifest.getBytes(StandardCharsets.UTF_8));
        sha256 = ModelFiles.sha256Of(stored.get("manifest.json"));
        return ModelFiles.open(source, sha256);
    }

    private Model open(String driver, String... graphs) {
        return Model.open(files(driver, graphs), opener, 1);
    }

    private static void refused(String message, Runnable call) {
        try {
            call.run();
        } catch (ModelException error) {
            assertTrue(error.getMessage(), error.getMessage().contains(message));
            return;
        }
        fail("was not refused: " + message);
    }
}
