package edgedistill.app;

/** The model cannot be used: a file is missing or changed, the manifest is of another kind, or the runtime refused. */
public class ModelException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public ModelException(String message) {
        super(message);
    }

    public ModelException(String message, Throwable cause) {
        super(message, cause);
    }
}
