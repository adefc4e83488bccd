package edgedistill.app;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs the goldens: texts whose tokens and answers are known. A model that fails here is not the one that was judged. */
public final class SelfTest {
    private static final int MOST_TOLD = 20;

    private SelfTest() {}

    /** Compares tokens with the goldens', then the model's answers to them, each within its tolerance. */
    public static Result run(TextModel model) {
        Result result = new Result(model.files().manifestSha256());
        for (String path : goldens(model.files())) {
            add(result, model.files(), path, model.encoder(), model.model());
        }
        return result;
    }

    /** The same for one file of goldens. */
    public static Result run(TextModel model, String path) {
        Result result = new Result(model.files().manifestSha256());
        add(result, model.files(), path, model.encoder(), model.model());
        return result;
    }

    /** Compares tokens alone, which needs no runtime. */
    public static Result runTokens(ModelFiles files, String path) {
        Result result = new Result(files.manifestSha256());
        add(result, files, path, Tokenizers.open(files), null);
        return result;
    }

    /** The files of goldens a model has. */
    public static List<String> goldens(ModelFiles files) {
        List<String> paths = new ArrayList<>();
        for (Manifest.FileEntry entry : files.manifest().files.values()) {
            if (entry.role.equals("golden")) {
                paths.add(entry.path);
            }
        }
        return paths;
    }

    private static void add(Result result, ModelFiles files, String path, TextEncoder encoder, Model model) {
        int number = 0;
        for (String line : files.readText(path).split("\n")) {
            number++;
            if (!line.trim().isEmpty()) {
                result.add(number, faultsOf(encoder, model, Json.readObject(line)));
            }
        }
    }

    private static List<String> faultsOf(TextEncoder encoder, Model model, Map<String, Object> golden) {
        String text = (String) golden.get("text");
        List<String> faults = new ArrayList<>();
        try {
            Encoded encoded = encoder.encode(text, (String) golden.get("text_pair"));
            int[] ids = ints(golden.get("input_ids"));
            int[] types = ints(golden.get("token_type_ids"));
            if (!Arrays.equals(ids, encoded.ids) || !Arrays.equals(types, encoded.types)) {
                faults.add(told(text) + ": the tokens differ");
            }
            if (model != null) {
                compare(model.run(ids, types), golden, told(text), faults);
            }
        } catch (RuntimeException error) {
            faults.add(told(text) + ": " + error.getMessage());
        }
        return faults;
    }

    private static void compare(Answer answer, Map<String, Object> golden, String text, List<String> faults) {
        // What the student says in PyTorch, where the artifact was never run.
        Map<?, ?> stored = (Map<?, ?>) golden.get(golden.get("artifact") == null ? "student" : "artifact");
        Map<?, ?> tolerance = (Map<?, ?>) golden.get("tolerance");
        boolean isCompared = false;
        for (Map.Entry<?, ?> one : stored.entrySet()) {
            // Answers of every exit are stored for the gate; an app asks only for the one it takes.
            if (answer.outputs().containsKey(one.getKey())) {
                isCompared = true;
                double gap = gap((List<?>) one.getValue(), answer.floats((String) one.getKey()));
                double most = ((Number) tolerance.get(one.getKey())).doubleValue();
                if (!(gap <= most)) {
                    faults.add(text + ": " + one.getKey() + " differs by " + gap + ", more than " + most);
                }
            }
        }
        Object layers = stored.get("layers");
        if (layers != null && ((Number) ((List<?>) layers).get(0)).intValue() != answer.layers) {
            faults.add(text + ": left after " + answer.layers + " segments, not " + ((List<?>) layers).get(0));
        }
        if (!isCompared) {
            faults.add(text + ": none of the stored answers is one of the model's");
        }
    }

    /** Largest difference; infinite where the sizes differ or something is no number. */
    private static double gap(List<?> wanted, float[] found) {
        if (wanted.size() != found.length) {
            return Double.POSITIVE_INFINITY;
        }
        double gap = 0;
        for (int n = 0; n < found.length; n++) {
            double one = Math.abs(((Number) wanted.get(n)).doubleValue() - found[n]);
            gap = Double.isNaN(one) ? Double.POSITIVE_INFINITY : Math.max(gap, one);
        }
        return gap;
    }

    private static int[] ints(Object list) {
        List<?> values = (List<?>) list;
        int[] found = new int[values.size()];
        for (int n = 0; n < found.length; n++) {
            found[n] = ((Long) values.get(n)).intValue();
        }
        return found;
    }

    private static String told(String text) {
        return "\"" + (text.length() > 40 ? text.substring(0, 40) + "..." : text) + "\"";
    }

    /** What came out. */
    public static final class Result {
        private final String manifestSha256;
        private final List<String> faults = new ArrayList<>();
        private final List<Integer> lines = new ArrayList<>();
        private int texts;

        Result(String manifestSha256) {
            this.manifestSha256 = manifestSha256;
        }

        void add(int line, List<String> found) {
            texts++;
            if (!found.isEmpty()) {
                lines.add(line);
            }
            faults.addAll(found.subList(0, Math.min(found.size(), MOST_TOLD - Math.min(MOST_TOLD, faults.size()))));
        }

        /** Whether there were goldens and every one passed. */
        public boolean isPassed() {
            return texts > 0 && lines.isEmpty();
        }

        public int texts() {
            return texts;
        }

        public int passed() {
            return texts - lines.size();
        }

        /** The first faults in words. */
        public List<String> faults() {
            return Collections.unmodifiableList(faults);
        }

        /** The same for machines. */
        public String toJson() {
            Map<String, Object> json = new LinkedHashMap<>();
            json.put("status", isPassed() ? "passed" : "failed");
            json.put("manifest_sha256", manifestSha256);
            json.put("texts", texts);
            json.put("passed", passed());
            json.put("lines", lines);
            json.put("faults", faults);
            return Json.write(json);
        }

        @Override
        public String toString() {
            return passed() + " of " + texts + " texts passed";
        }
    }
}
