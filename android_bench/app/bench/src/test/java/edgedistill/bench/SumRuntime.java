package edgedistill.bench;

import edgedistill.app.Manifest;
import edgedistill.app.Session;
import edgedistill.app.SessionOpener;
import edgedistill.app.Tensor;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** A runtime in Java that answers the sum of the ids and the sum of the mask: for tests without a native library. */
public final class SumRuntime implements SessionOpener {
    @Override
    public Session open(Manifest.Graph graph, byte[] model, int threads) {
        String content = new String(model, StandardCharsets.UTF_8);
        if (content.equals("no library")) {
            throw new UnsatisfiedLinkError(content);
        }
        if (content.equals("no memory")) {
            throw new OutOfMemoryError(content);
        }
        return new Session() {
            @Override
            public Map<String, Tensor> run(Map<String, Tensor> inputs) {
                Map<String, Tensor> found = new LinkedHashMap<>();
                float[] sums = {sum(inputs.get("input_ids")), sum(inputs.get("attention_mask"))};
                found.put("logits", Tensor.ofFloats(sums, 1, 2));
                return found;
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public String version() {
        return "sums";
    }

    private static int sum(Tensor values) {
        int sum = 0;
        for (int value : values.ints()) {
            sum += value;
        }
        return sum;
    }
}
