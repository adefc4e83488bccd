package edgedistill.bench;

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** What Linux says of a machine in /proc and /sys; an Android app may read little of it. */
public class LinuxSensors implements Sensors {
    private static final int MOST_CORES = 64;

    @Override
    public Map<String, Object> zones() {
        return new LinkedHashMap<>();
    }

    @Override
    public Map<String, Object> clocks() {
        Map<String, Object> found = new LinkedHashMap<>();
        for (int core = 0; core < MOST_CORES; core++) {
            String kilohertz = line("/sys/devices/system/cpu/cpu" + core + "/cpufreq/scaling_cur_freq", "");
            if (kilohertz != null && kilohertz.matches("[0-9]{1,9}")) {
                found.put(String.valueOf(core), Long.parseLong(kilohertz) / 1000.0);
            }
        }
        return found;
    }

    @Override
    public Long peakRssBytes() {
        String line = line("/proc/self/status", "VmHWM:");
        String digits = line == null ? "" : line.replaceAll("[^0-9]", "");
        return digits.isEmpty() ? null : (Long) (1024 * Long.parseLong(digits));
    }

    @Override
    public boolean isEmulated() {
        return false;
    }

    /** The first line of a file that begins so; null where there is none. */
    private static String line(String path, String begin) {
        try (BufferedReader reader = new BufferedReader(
                new InputStreamReader(new FileInputStream(path), StandardCharsets.UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                if (line.startsWith(begin)) {
                    return line.trim();
                }
            }
        } catch (IOException error) {
            return null; // most phones hide it from apps
        }
        return null;
    }
}
