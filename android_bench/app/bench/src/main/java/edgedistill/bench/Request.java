package edgedistill.bench;

import edgedistill.app.Json;
import edgedistill.app.Manifest;
import edgedistill.app.ModelBytes;
import edgedistill.app.ModelException;
import edgedistill.app.Tensor;
import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a host asks for: {@code docs/schemas/run-request.json}. Every file lies below the request's folder. */
final class Request implements ModelBytes {
    private static final long SCHEMA_VERSION = 1;
    private final File folder;
    private final Map<String, Object> json;
    final Manifest model;
    /** Arrays of each text by name. */
    final List<Map<String, Tensor>> inputs = new ArrayList<>();

    private Request(File folder, Map<String, Object> json) {
        this.folder = folder;
        this.json = json;
        if (!Long.valueOf(SCHEMA_VERSION).equals(json.get("schema_version"))) {
            throw new ModelException("the request has schema version " + json.get("schema_version")
                    + "; this app reads " + SCHEMA_VERSION + ". Build the app of the same edgedistill.");
        }
        model = Manifest.of(text("runtime"), json.get("graphs"), json.get("driver"));
        refuseWhatAnAppCannot();
        Map<String, String> dtypes = model.graph(model.driver.graphs.get(0)).inputs;
        for (Object one : list(json, "inputs")) {
            Map<String, Tensor> arrays = new LinkedHashMap<>();
            for (Object array : list((Map<?, ?>) one, "arrays")) {
                read((Map<?, ?>) array, dtypes, arrays);
            }
            if (!arrays.containsKey("input_ids")) {
                throw new ModelException("an input set has no 'input_ids'.");
            }
            inputs.add(arrays);
        }
        if (inputs.isEmpty()) {
            throw new ModelException("the request has no inputs.");
        }
    }

    /** Reads a request and its arrays. */
    static Request read(File file) {
        String content = new String(bytes(file, 0, (int) file.length()), StandardCharsets.UTF_8);
        return new Request(file.getAbsoluteFile().getParentFile(), Json.readObject(content));
    }

    String text(String key) {
        Object value = json.get(key);
        if (!(value instanceof String)) {
            throw new ModelException("the request's '" + key + "' is missing or no text.");
        }
        return (String) value;
    }

    /** A number, or what stands for it when it is left out. */
    double number(String key, double otherwise) {
        Object value = json.get(key);
        if (value != null && !(value instanceof Number)) {
            throw new ModelException("the request's '" + key + "' is no number.");
        }
        return value == null ? otherwise : ((Number) value).doubleValue();
    }

    /** File to write outputs to; null for none. */
    File outputs() {
        return json.get("outputs") == null ? null : below(text("outputs"));
    }

    String outputsName() {
        return text("outputs");
    }

    @Override
    public byte[] read(String path) {
        File file = below(path);
        return bytes(file, 0, (int) file.length());
    }

    private void refuseWhatAnAppCannot() {
        Object cores = json.get("cores");
        if (cores instanceof List && !((List<?>) cores).isEmpty()) {
            throw new ModelException("an app cannot bind itself to cores: leave 'cores' out, or use the runner.");
        }
        if (Boolean.TRUE.equals(json.get("marks"))) {
            throw new ModelException("marks are for an emulator's counter: leave 'marks' out.");
        }
    }

    private void read(Map<?, ?> array, Map<String, String> dtypes, Map<String, Tensor> arrays) {
        String name = (String) array.get("name");
        String dtype = (String) array.get("dtype");
        if (!dtypes.containsKey(name)) {
            return; // not taken by the first graph: left out
        }
        if (!dtypes.get(name).equals(dtype) || !(dtype.equals("int64") || dtype.equals("int32"))) {
            throw new ModelException("input '" + name + "' is " + dtype + "; the graph takes " + dtypes.get(name) + ".");
        }
        int[] shape = new int[2];
        List<?> sizes = list(array, "shape");
        if (sizes.size() != 2 || ((Number) sizes.get(0)).intValue() != 1) {
            throw new ModelException("input '" + name + "' has the shape " + sizes + "; an app runs (1, tokens).");
        }
        shape[0] = 1;
        shape[1] = ((Number) sizes.get(1)).intValue();
        int width = dtype.equals("int64") ? 8 : 4;
        Object offset = array.get("offset");
        byte[] raw = bytes(below((String) array.get("file")), offset == null ? 0 : ((Number) offset).longValue(),
                Math.multiplyExact(shape[1], width));
        ByteBuffer buffer = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN);
        int[] values = new int[shape[1]];
        for (int n = 0; n < values.length; n++) {
            values[n] = width == 8 ? Math.toIntExact(buffer.getLong()) : buffer.getInt();
        }
        arrays.put(name, Tensor.ofInts(values, shape));
    }

    private File below(String path) {
        if (path == null || path.isEmpty() || path.startsWith("/") || path.indexOf('\0') >= 0) {
            throw new ModelException("'" + path + "' is no path below the request's folder.");
        }
        for (String part : path.split("[/\\\\]", -1)) {
            if (part.equals("..")) {
                throw new ModelException("'" + path + "' is no path below the request's folder.");
            }
        }
        return new File(folder, path);
    }

    private static byte[] bytes(File file, long offset, int count) {
        try (RandomAccessFile opened = new RandomAccessFile(file, "r")) {
            byte[] found = new byte[count];
            opened.seek(offset);
            opened.readFully(found);
            return found;
        } catch (IOException error) {
            throw new ModelException("cannot read " + count + " bytes of '" + file.getName() + "': "
                    + error.getMessage(), error);
        }
    }

    private static List<?> list(Map<?, ?> json, String key) {
        Object value = json.get(key);
        if (!(value instanceof List)) {
            throw new ModelException("the request's '" + key + "' is missing or no list.");
        }
        return Collections.unmodifiableList((List<?>) value);
    }
}
