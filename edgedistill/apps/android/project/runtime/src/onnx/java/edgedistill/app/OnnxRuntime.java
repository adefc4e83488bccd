package edgedistill.app;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.LinkedHashMap;
import java.util.Map;

/** ONNX Runtime as a {@link SessionOpener}. */
public final class OnnxRuntime implements SessionOpener {
    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();

    @Override
    public Session open(Manifest.Graph graph, byte[] model, int threads) {
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setInterOpNumThreads(1);
            return new OnnxSession(environment, environment.createSession(model, options), graph);
        } catch (OrtException error) {
            throw new ModelException("ONNX Runtime cannot load '" + graph.file + "': " + error.getMessage(), error);
        }
    }

    @Override
    public String version() {
        return "ONNX Runtime " + environment.getVersion();
    }

    private static final class OnnxSession implements Session {
        private final OrtEnvironment environment;
        private final OrtSession session;
        private final Manifest.Graph graph;

        OnnxSession(OrtEnvironment environment, OrtSession session, Manifest.Graph graph) {
            this.environment = environment;
            this.session = session;
            this.graph = graph;
        }

        @Override
        public Map<String, Tensor> run(Map<String, Tensor> inputs) {
            Map<String, OnnxTensor> given = new LinkedHashMap<>();
            try {
                for (Map.Entry<String, Tensor> one : inputs.entrySet()) {
                    given.put(one.getKey(), tensor(one.getValue(), graph.inputs.get(one.getKey())));
                }
                try (OrtSession.Result result = session.run(given)) {
                    return outputs(result);
                }
            } catch (OrtException error) {
                throw new ModelException("ONNX Runtime refused graph '" + graph.name + "': " + error.getMessage(), error);
            } finally {
                for (OnnxTensor one : given.values()) {
                    one.close();
                }
            }
        }

        private OnnxTensor tensor(Tensor value, String dtype) throws OrtException {
            int[] sizes = value.shape();
            long[] shape = new long[sizes.length];
            for (int n = 0; n < shape.length; n++) {
                shape[n] = sizes[n];
            }
            if (!value.isInteger()) {
                return OnnxTensor.createTensor(environment, FloatBuffer.wrap(value.floats()), shape);
            }
            if (dtype.equals("int32")) {
                return OnnxTensor.createTensor(environment, IntBuffer.wrap(value.ints()), shape);
            }
            long[] wide = new long[value.ints().length];
            for (int n = 0; n < wide.length; n++) {
                wide[n] = value.ints()[n];
            }
            return OnnxTensor.createTensor(environment, LongBuffer.wrap(wide), shape);
        }

        private static Map<String, Tensor> outputs(OrtSession.Result result) {
            Map<String, Tensor> found = new LinkedHashMap<>();
            for (Map.Entry<String, OnnxValue> one : result) {
                OnnxTensor tensor = (OnnxTensor) one.getValue();
                FloatBuffer values = tensor.getFloatBuffer();
                float[] floats = new float[values.remaining()];
                values.get(floats);
                long[] wide = tensor.getInfo().getShape();
                int[] shape = new int[wide.length];
                for (int n = 0; n < shape.length; n++) {
                    shape[n] = (int) wide[n];
                }
                found.put(one.getKey(), Tensor.ofFloats(floats, shape));
            }
            return found;
        }

        @Override
        public void close() {
            try {
                session.close();
            } catch (OrtException error) {
                throw new ModelException("ONNX Runtime cannot close '" + graph.name + "': " + error.getMessage(), error);
            }
        }
    }
}
