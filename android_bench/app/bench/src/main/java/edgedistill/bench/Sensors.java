package edgedistill.bench;

import java.util.Map;

/** What a machine says about itself; empty or null where it does not. */
public interface Sensors {
    /** Degrees Celsius by sensor. */
    Map<String, Object> zones();

    /** Megahertz by core number. */
    Map<String, Object> clocks();

    /** Most memory the process ever had, in bytes; null where it is not told. */
    Long peakRssBytes();

    /** Whether the machine is an emulator, whose times say nothing. */
    boolean isEmulated();
}
