package edgedistill.bench;

import edgedistill.app.Answer;
import edgedistill.app.Json;
import edgedistill.app.Model;
import edgedistill.app.SessionOpener;
import edgedistill.app.Tensor;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs a request as the native runner does, within an app's process: {@code docs/schemas/run-result.json}. */
public final class Benchmark {
    private static final double NANOSECONDS = 1e9;
    private final SessionOpener opener;
    private final Sensors sensors;
    private final Progress progress;
    private final long began = System.nanoTime();
    private final List<Object> readings = new ArrayList<>();
    private long told = System.nanoTime();

    public Benchmark(SessionOpener opener, Sensors sensors, Progress progress) {
        this.opener = opener;
        this.sensors = sensors;
        this.progress = progress;
    }

    /**
     * Runs a request and writes the result beside its destination first.
     *
     * @return whether everything that was asked for was done; the result says why not.
     */
    public boolean run(File requestFile, File resultFile) throws IOException {
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("schema_version", 1);
        result.put("id", "");
        result.put("status", "failed");
        result.put("error", "");
        result.put("source", sensors.isEmulated() ? "qemu" : "phone");
        result.put("runtime", "onnx");
        result.put("runtime_version", opener.version());
        result.put("runtime_build", "aar");
        result.put("threads", 1);
        try {
            Request request = Request.read(requestFile);
            describe(request, result);
            measure(request, result);
            result.put("status", "done");
        } catch (RuntimeException | IOException | LinkageError | OutOfMemoryError error) {
            result.keySet().removeAll(java.util.Arrays.asList("samples_ns", "load_ns", "first_ns", "readings"));
            result.put("error", error.getMessage() == null ? error.toString() : error.getMessage());
        }
        File part = new File(resultFile.getPath() + ".part");
        write(part, Json.write(result).getBytes(StandardCharsets.UTF_8));
        if (!part.renameTo(resultFile)) {
            throw new IOException("cannot write '" + resultFile + "'.");
        }
        return "done".equals(result.get("status"));
    }

    private void describe(Request request, Map<String, Object> result) {
        result.put("id", request.text("id"));
        result.put("runtime", request.model.target);
        result.put("threads", (int) request.number("threads", 1));
        if (!sensors.isEmulated()) {
            result.put("source", request.text("source"));
        }
    }

    private void measure(Request request, Map<String, Object> result) throws IOException {
        boolean isTimed = !"qemu".equals(result.get("source"));
        long start = System.nanoTime();
        try (Model model = Model.open(request.model, request, opener, (int) request.number("threads", 1), true)) {
            final long load = System.nanoTime() - start;
            final long first = time(model, request, 0);
            List<Object> layers = new ArrayList<>();
            result.put("outputs", outputs(model, request, layers));
            result.put("layers", layers);
            read();
            result.put("warm_up_runs", warmUp(model, request));
            List<Object> samples = samples(model, request);
            read();
            result.put("runs", samples.size());
            if (isTimed) { // an emulator's times are the emulator's
                result.put("load_ns", load);
                result.put("first_ns", first);
                result.put("samples_ns", samples);
                result.put("readings", readings);
                result.put("peak_rss_bytes", sensors.peakRssBytes());
            }
        }
    }

    private int warmUp(Model model, Request request) {
        double least = request.number("warm_up_seconds", 0);
        int runs = 0;
        double seconds = 0;
        while (runs < request.number("warm_up_runs", 0) || seconds < least) {
            seconds += time(model, request, runs) / NANOSECONDS;
            tell("warm_up", ++runs, seconds);
        }
        return runs;
    }

    private List<Object> samples(Model model, Request request) {
        List<Object> samples = new ArrayList<>();
        double most = request.number("max_seconds", 0);
        double every = request.number("sensor_seconds", 0);
        double seconds = 0;
        double next = every;
        while ((samples.size() < request.number("min_runs", 0) || seconds < request.number("min_seconds", 0))
                && (most == 0 || seconds < most)) { // 0: no limit, as the runner has it
            long sample = time(model, request, samples.size());
            samples.add(sample);
            seconds += sample / NANOSECONDS;
            tell("measure", samples.size(), seconds);
            if (every > 0 && seconds >= next) {
                read();
                next = seconds + every;
            }
        }
        return samples;
    }

    /** Nanoseconds of one inference: choosing the length, padding and leaving early are the app's work too. */
    private static long time(Model model, Request request, int number) {
        Map<String, Tensor> text = request.inputs.get(number % request.inputs.size());
        long start = System.nanoTime();
        model.run(text);
        return System.nanoTime() - start;
    }

    private List<Object> outputs(Model model, Request request, List<Object> layers) throws IOException {
        boolean isLeftEarly = request.model.driver.kind.equals("cascade");
        File file = request.outputs();
        if (file == null && !isLeftEarly) {
            return Collections.emptyList();
        }
        List<Object> found = new ArrayList<>();
        java.io.ByteArrayOutputStream bytes = new java.io.ByteArrayOutputStream();
        for (int input = 0; input < request.inputs.size(); input++) {
            Answer answer = model.run(request.inputs.get(input));
            if (isLeftEarly) {
                layers.add(answer.layers);
            }
            for (Map.Entry<String, Tensor> one : answer.outputs().entrySet()) {
                Map<String, Object> output = new LinkedHashMap<>();
                output.put("name", one.getKey());
                output.put("dtype", "float32");
                output.put("shape", sizes(one.getValue()));
                output.put("file", file == null ? "" : request.outputsName());
                output.put("offset", bytes.size());
                output.put("input", input);
                found.add(output);
                bytes.write(raw(one.getValue()));
            }
            tell("outputs", input + 1, (System.nanoTime() - began) / NANOSECONDS);
        }
        if (file == null) {
            return Collections.emptyList();
        }
        write(file, bytes.toByteArray());
        return found;
    }

    private static List<Object> sizes(Tensor tensor) {
        List<Object> found = new ArrayList<>();
        for (int size : tensor.shape()) {
            found.add(size);
        }
        return found;
    }

    private static byte[] raw(Tensor tensor) {
        ByteBuffer buffer = ByteBuffer.allocate(4 * tensor.floats().length).order(ByteOrder.LITTLE_ENDIAN);
        buffer.asFloatBuffer().put(tensor.floats());
        return buffer.array();
    }

    private void read() {
        Map<String, Object> reading = new LinkedHashMap<>();
        reading.put("seconds", (System.nanoTime() - began) / NANOSECONDS);
        reading.put("zones", sensors.zones());
        reading.put("clocks", sensors.clocks());
        readings.add(reading);
    }

    private void tell(String phase, int runs, double seconds) {
        long now = System.nanoTime();
        if (now - told >= NANOSECONDS) {
            told = now;
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("phase", phase);
            line.put("runs", runs);
            line.put("seconds", seconds);
            progress.tell(Json.write(line));
        }
    }

    private static void write(File file, byte[] content) throws IOException {
        try (FileOutputStream out = new FileOutputStream(file)) {
            out.write(content);
            out.getFD().sync();
        }
    }
}
