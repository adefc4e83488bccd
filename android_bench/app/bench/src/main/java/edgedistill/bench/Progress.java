package edgedistill.bench;

/** Told about once a second: one line of JSON. */
public interface Progress {
    void tell(String line);
}
