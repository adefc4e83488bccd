package edgedistill.app;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.lite.Interpreter;

/** LiteRT's Interpreter as a {@link SessionOpener}; the buckets of one file share one interpreter. */
public final class LiteRt implements SessionOpener {
    private final Map<byte[], Shared> opened = new IdentityHashMap<>();

    @Override
    public Session open(Manifest.Graph graph, byte[] model, int threads) {
        Shared shared = opened.get(model);
        if (shared == null) {
            shared = new Shared(load(graph, model, threads));
            opened.put(model, shared);
        }
        shared.users++;
        return new LiteRtSession(shared, graph);
    }

    @Override
    public String version() {
        return "LiteRT";
    }

    private static Interpreter load(Manifest.Graph graph, byte[] model, int threads) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(model.length).order(ByteOrder.nativeOrder());
        buffer.put(model).rewind();
        try {
            return new Interpreter(buffer, new Interpreter.Options().setNumThreads(threads));
        } catch (IllegalArgumentException error) {
            throw new ModelException("LiteRT cannot load '" + graph.file + "': " + error.getMessage(), error);
        }
    }

    private static final class Shared {
        final Interpreter interpreter;
        int users;

        Shared(Interpreter interpreter) {
            this.interpreter = interpreter;
        }
    }

    private final class LiteRtSession implements Session {
        private final Shared shared;
        private final Manifest.Graph graph;

        LiteRtSession(Shared shared, Manifest.Graph graph) {
            this.shared = shared;
            this.graph = graph;
        }

        @Override
        public Map<String, Tensor> run(Map<String, Tensor> inputs) {
            Map<String, Object> given = new LinkedHashMap<>();
            for (Map.Entry<String, Tensor> one : inputs.entrySet()) {
                given.put(one.getKey(), buffer(one.getValue()));
            }
            Map<String, Object> wanted = new LinkedHashMap<>();
            for (String output : graph.outputs) {
                wanted.put(output, floats(Tensor.size(graph.outputShapes.get(output))));
            }
            try {
                shared.interpreter.runSignature(given, wanted, graph.signature);
            } catch (IllegalArgumentException error) {
                throw new ModelException("LiteRT refused graph '" + graph.name + "': " + error.getMessage(), error);
            }
            Map<String, Tensor> found = new LinkedHashMap<>();
            for (String output : graph.outputs) {
                FloatBuffer values = (FloatBuffer) wanted.get(output);
                values.rewind();
                float[] copied = new float[values.remaining()];
                values.get(copied);
                found.put(output, Tensor.ofFloats(copied, graph.outputShapes.get(output)));
            }
            return found;
        }

        private ByteBuffer buffer(Tensor value) {
            int count = value.isInteger() ? value.ints().length : value.floats().length;
            ByteBuffer bytes = ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder());
            if (value.isInteger()) {
                IntBuffer ints = bytes.asIntBuffer();
                ints.put(value.ints());
            } else {
                bytes.asFloatBuffer().put(value.floats());
            }
            return bytes;
        }

        private FloatBuffer floats(int count) {
            return ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer();
        }

        @Override
        public void close() {
            if (--shared.users == 0) {
                shared.interpreter.close();
                opened.values().remove(shared);
            }
        }
    }
}
