package edgedistill.app;

/** Where the bytes of a model's files come from. */
public interface ModelBytes {
    /**
     * The bytes of a file.
     *
     * @throws ModelException it is missing, or not the one it should be.
     */
    byte[] read(String path);
}
